#include "optim/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/error.h"

namespace lethe {

namespace {

ScheduleSpec::Shape shape_of(const std::string& name) {
  if (name == "constant") return ScheduleSpec::Shape::constant;
  if (name == "linear") return ScheduleSpec::Shape::linear;
  if (name == "cosine") return ScheduleSpec::Shape::cosine;
  if (name == "inverse_sqrt") return ScheduleSpec::Shape::inverse_sqrt;
  throw ConfigError("schedule.name",
                    "must be constant, linear, cosine or inverse_sqrt, got \"" + name + "\"");
}

void check_inverse_sqrt(const ScheduleSpec& s, bool may_exceed_run) {
  if (!may_exceed_run && s.warmup + s.cooldown > s.steps) {
    throw ConfigError("schedule.cooldown", fmt::format("{} steps after {} of warm-up exceed the run's {}",
                                                       s.cooldown, s.warmup, s.steps));
  }
  if (s.alpha_f_cooldown > s.alpha_f_decay) {
    throw ConfigError("schedule.alpha_f_cooldown", fmt::format("{} is above schedule.alpha_f_decay {}",
                                                               s.alpha_f_cooldown, s.alpha_f_decay));
  }
  if (s.scale <= 0 && s.alpha_f_decay < 1) {
    throw ConfigError("schedule.scale",
                      "must be at least one step where there is no warm-up to take it from");
  }
}

void check(const ScheduleSpec& s, const ScheduleOptions& options) {
  if (s.steps <= 0) throw ConfigError("train.duration", fmt::format("the run has {} steps", s.steps));
  const auto fraction = [](const char* key, double value) {
    if (!(value >= 0 && value <= 1)) throw ConfigError(key, fmt::format("{} is not in [0, 1]", value));
  };
  fraction("schedule.alpha_f", s.alpha_f);
  fraction("schedule.alpha_f_decay", s.alpha_f_decay);
  fraction("schedule.alpha_f_cooldown", s.alpha_f_cooldown);
  const auto fits = [&](const char* key, int64_t steps) {
    if (steps <= s.steps || options.may_exceed_run) return;
    throw ConfigError(key, fmt::format("{} steps are longer than the run's {}", steps, s.steps));
  };
  fits("schedule.warmup", s.warmup);
  fits("schedule.cooldown", s.cooldown);
  if (s.shape == ScheduleSpec::Shape::inverse_sqrt) return check_inverse_sqrt(s, options.may_exceed_run);
  if (s.cooldown > 0) throw ConfigError("schedule.cooldown", "belongs to inverse_sqrt, not " + options.name);
}

// Inverse square root, before the cooldown.
double decayed(const ScheduleSpec& s, double t) {
  if (s.alpha_f_decay == 1) return 1;
  const auto scale = static_cast<double>(s.scale);
  return s.alpha_f_decay +
         (1 - s.alpha_f_decay) / std::sqrt((t - static_cast<double>(s.warmup) + scale) / scale);
}

}  // namespace

ScheduleSpec schedule_spec(const ScheduleOptions& options, const RunLength& run) {
  ScheduleSpec made{.shape = shape_of(options.name),
                    .steps = run.steps,
                    .warmup = steps_of(options.warmup, run, "schedule.warmup"),
                    .cooldown = steps_of(options.cooldown, run, "schedule.cooldown"),
                    .scale = steps_of(options.scale, run, "schedule.scale"),
                    .alpha_f = options.alpha_f,
                    .alpha_f_decay = options.alpha_f_decay,
                    .alpha_f_cooldown = options.alpha_f_cooldown};
  if (made.scale == 0) made.scale = made.warmup;
  check(made, options);
  return made;
}

double multiplier(const ScheduleSpec& s, int64_t completed) {
  const auto t = static_cast<double>(completed), warmup = static_cast<double>(s.warmup),
             steps = static_cast<double>(s.steps);
  if (completed < s.warmup) return t / warmup;
  const double x = s.steps > s.warmup ? std::min(1.0, (t - warmup) / (steps - warmup)) : 1.0;
  switch (s.shape) {
    case ScheduleSpec::Shape::constant:
      return 1;
    case ScheduleSpec::Shape::linear:
      return s.alpha_f + (1 - s.alpha_f) * (1 - x);
    case ScheduleSpec::Shape::cosine:
      return s.alpha_f + (1 - s.alpha_f) * (1 + std::cos(std::numbers::pi * x)) / 2;
    case ScheduleSpec::Shape::inverse_sqrt:
      break;
  }
  const auto cooldown_start = static_cast<double>(std::max(s.steps - s.cooldown, s.warmup));
  if (t < cooldown_start || s.cooldown == 0) return decayed(s, t);
  const double from = decayed(s, cooldown_start);
  const double gone = std::min(1.0, (t - cooldown_start) / static_cast<double>(s.cooldown));
  return from + (s.alpha_f_cooldown - from) * gone;
}

}  // namespace lethe
