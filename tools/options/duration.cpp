#include "tools/options/duration.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace lethe {

bool parse_duration(const std::string& text, Duration& duration) {
  const char* end = text.data() + text.size();
  double count = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc() || !std::isfinite(count) || count < 0) {
    return false;
  }
  const char* unit_begin = rest;
  while (unit_begin != end && *unit_begin == ' ') {
    ++unit_begin;
  }
  const std::string unit(unit_begin, end);
  if (unit == "steps" || unit == "step") {
    duration = {count, Duration::Unit::steps};
  } else if (unit == "epochs" || unit == "epoch") {
    duration = {count, Duration::Unit::epochs};
  } else if (unit == "tokens" || unit == "token") {
    duration = {count, Duration::Unit::tokens};
  } else {
    return false;
  }
  return duration.unit == Duration::Unit::epochs || count == std::floor(count);
}

std::string text_of(const Duration& duration) {
  switch (duration.unit) {
    case Duration::Unit::steps:
      return fmt::format("{} steps", duration.count);
    case Duration::Unit::epochs:
      return fmt::format("{} epochs", duration.count);
    case Duration::Unit::tokens:
      return fmt::format("{} tokens", duration.count);
  }
  return "";
}

}  // namespace lethe
