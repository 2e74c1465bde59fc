#include "optim/duration.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "engine/error.h"

namespace lethe {
namespace {

constexpr std::pair<std::string_view, Duration::Unit> kUnits[] = {
    {"steps", Duration::Unit::steps},   {"step", Duration::Unit::steps},   {"ba", Duration::Unit::steps},
    {"epochs", Duration::Unit::epochs}, {"epoch", Duration::Unit::epochs}, {"ep", Duration::Unit::epochs},
    {"tokens", Duration::Unit::tokens}, {"token", Duration::Unit::tokens}, {"tok", Duration::Unit::tokens},
    {"run", Duration::Unit::run},       {"dur", Duration::Unit::run}};

// 0.3 epochs of 10 steps are 3 steps, though 0.3 * 10 is a little more in binary.
int64_t rounded_up(double steps) {
  return static_cast<int64_t>(std::ceil(steps * (1 - 1e-12)));
}
int64_t rounded_down(double steps) {
  return static_cast<int64_t>(std::floor(steps * (1 + 1e-12)));
}

}  // namespace

bool parse_duration(const std::string& text, Duration& duration) {
  double count = 0;
  const char* const end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, count);
  // from_chars would also read "nan" and "infinity".
  if (error != std::errc() || !std::isfinite(count) || count < 0) return false;
  while (at != end && *at == ' ') ++at;
  const std::string_view unit(at, static_cast<size_t>(end - at));
  for (const auto& [name, value] : kUnits) {
    if (unit != name) continue;
    const bool whole = value == Duration::Unit::steps || value == Duration::Unit::tokens;
    if (whole && count != std::floor(count)) return false;
    duration = {count, value};
    return true;
  }
  return false;
}

std::string text_of(const Duration& duration) {
  switch (duration.unit) {
    case Duration::Unit::steps:
      return fmt::format("{} steps", duration.count);
    case Duration::Unit::epochs:
      return fmt::format("{} epochs", duration.count);
    case Duration::Unit::tokens:
      return fmt::format("{} tokens", duration.count);
    case Duration::Unit::run:
      return fmt::format("{} run", duration.count);
  }
  return "?";
}

int64_t steps_of(const Duration& duration, const RunLength& run, const std::string& key) {
  const auto known = [&](double value, const char* what) {
    if (value > 0) return value;
    throw ConfigError(key, fmt::format("{} needs {}, which is not known here", text_of(duration), what));
  };
  double steps = 0;
  switch (duration.unit) {
    case Duration::Unit::steps:
      steps = duration.count;
      break;
    case Duration::Unit::epochs:
      steps = duration.count * known(run.steps_per_epoch, "the steps of an epoch");
      break;
    case Duration::Unit::tokens:
      steps = duration.count / known(run.tokens_per_step, "the tokens of a step");
      break;
    case Duration::Unit::run:
      steps = duration.count * known(static_cast<double>(run.steps), "the length of the run");
      break;
  }
  if (!(steps < 0x1p53)) throw ConfigError(key, text_of(duration) + " is longer than can be counted");
  return duration.unit == Duration::Unit::run ? rounded_down(steps) : rounded_up(steps);
}

}  // namespace lethe
