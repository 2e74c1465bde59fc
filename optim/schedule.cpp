#include "optim/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "engine/error.h"

namespace lethe {

Schedule::Schedule(const ScheduleOptions& options, const RunLength& run)
    : total_(run.total_steps),
      warmup_(steps_of(options.warmup, run, "schedule.warmup")),
      cooldown_(steps_of(options.cooldown, run, "schedule.cooldown")),
      scale_(steps_of(options.scale, run, "schedule.scale")),
      alpha_f_(options.alpha_f),
      alpha_f_decay_(options.alpha_f_decay),
      alpha_f_cooldown_(options.alpha_f_cooldown) {
  if (options.name == "constant") {
    shape_ = Shape::constant;
  } else if (options.name == "linear") {
    shape_ = Shape::linear;
  } else if (options.name == "cosine") {
    shape_ = Shape::cosine;
  } else if (options.name == "inverse_sqrt") {
    shape_ = Shape::inverse_sqrt;
  } else {
    throw ConfigError("schedule.name",
                      "must be constant, linear, cosine or inverse_sqrt, got \"" + options.name + "\"");
  }
  if (scale_ == 0) scale_ = warmup_;
  check(options);
}

void Schedule::check(const ScheduleOptions& options) const {
  if (total_ <= 0) throw ConfigError("train.duration", fmt::format("the run has {} steps", total_));
  const auto fraction = [](const char* key, double value) {
    if (!(value >= 0 && value <= 1)) throw ConfigError(key, fmt::format("{} is not in [0, 1]", value));
  };
  fraction("schedule.alpha_f", alpha_f_);
  fraction("schedule.alpha_f_decay", alpha_f_decay_);
  fraction("schedule.alpha_f_cooldown", alpha_f_cooldown_);
  const auto fits = [&](const char* key, int64_t steps) {
    if (steps <= total_ || options.may_exceed_run) return;
    throw ConfigError(key, fmt::format("{} steps are longer than the run's {}", steps, total_));
  };
  fits("schedule.warmup", warmup_);
  fits("schedule.cooldown", cooldown_);
  if (shape_ != Shape::inverse_sqrt) {
    if (cooldown_ > 0) throw ConfigError("schedule.cooldown", "belongs to inverse_sqrt, not " + options.name);
    return;
  }
  if (!options.may_exceed_run && warmup_ + cooldown_ > total_) {
    throw ConfigError("schedule.cooldown", fmt::format("{} steps after {} of warm-up exceed the run's {}",
                                                       cooldown_, warmup_, total_));
  }
  if (alpha_f_cooldown_ > alpha_f_decay_) {
    throw ConfigError("schedule.alpha_f_cooldown", fmt::format("{} is above schedule.alpha_f_decay {}",
                                                               alpha_f_cooldown_, alpha_f_decay_));
  }
  if (scale_ <= 0 && alpha_f_decay_ < 1) {
    throw ConfigError("schedule.scale",
                      "must be at least one step where there is no warm-up to take it from");
  }
}

double Schedule::multiplier(int64_t completed) const {
  const auto t = static_cast<double>(completed), warmup = static_cast<double>(warmup_),
             total = static_cast<double>(total_);
  if (completed < warmup_) return t / warmup;
  const double x = total_ > warmup_ ? std::min(1.0, (t - warmup) / (total - warmup)) : 1.0;
  switch (shape_) {
    case Shape::constant:
      return 1;
    case Shape::linear:
      return alpha_f_ + (1 - alpha_f_) * (1 - x);
    case Shape::cosine:
      return alpha_f_ + (1 - alpha_f_) * (1 + std::cos(std::numbers::pi * x)) / 2;
    case Shape::inverse_sqrt:
      break;
  }
  const auto cooldown_start = static_cast<double>(std::max(total_ - cooldown_, warmup_));
  if (t < cooldown_start || cooldown_ == 0) return decayed(t);
  const double from = decayed(cooldown_start);
  return from +
         (alpha_f_cooldown_ - from) * std::min(1.0, (t - cooldown_start) / static_cast<double>(cooldown_));
}

// Inverse square root, before the cooldown.
double Schedule::decayed(double t) const {
  if (alpha_f_decay_ == 1) return 1;
  const auto scale = static_cast<double>(scale_);
  return alpha_f_decay_ +
         (1 - alpha_f_decay_) / std::sqrt((t - static_cast<double>(warmup_) + scale) / scale);
}

}  // namespace lethe
