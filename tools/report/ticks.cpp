#include "tools/report/ticks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/report/numbers.h"

namespace lethe::report {
namespace {

// The least of 1, 2, 5 times a power of ten that is not below `rough`.
double nice_step(double rough) {
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double multiple : {1.0, 2.0, 5.0}) {
    if (multiple * power >= rough * (1 - 1e-9)) return multiple * power;
  }
  return 10 * power;
}

std::string superscript(int exponent) {
  static constexpr const char* digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = exponent < 0 ? "⁻" : "";
  for (const char c : std::to_string(std::abs(exponent))) text += digits[c - '0'];
  return text;
}

std::string log_label(int multiple, int exponent, bool as_power) {
  if (!as_power) return fixed(multiple * std::pow(10.0, exponent), std::max(0, -exponent));
  const std::string power = "10" + superscript(exponent);
  return multiple == 1 ? power : fmt::format("{}·{}", multiple, power);
}

std::vector<Tick> log_ticks_of(Range range, const std::vector<int>& multiples, int every) {
  std::vector<Tick> ticks;
  const int first = static_cast<int>(std::floor(std::log10(range.low)));
  const int last = static_cast<int>(std::ceil(std::log10(range.high)));
  const bool as_powers = range.low < 1e-3 || range.high >= 1e6;  // all labels of an axis alike
  for (int exponent = first; exponent <= last; ++exponent) {
    if (exponent % every != 0) continue;
    for (const int multiple : multiples) {
      const double value = multiple * std::pow(10.0, exponent);
      if (value >= range.low * (1 - 1e-9) && value <= range.high * (1 + 1e-9)) {
        ticks.push_back({value, log_label(multiple, exponent, as_powers)});
      }
    }
  }
  return ticks;
}

}  // namespace

Range range_of(const std::vector<double>& values) {
  Range range{INFINITY, -INFINITY};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  if (range.low > range.high) return {0, 1};
  if (range.high - range.low < 1e-9 * std::max(1.0, std::abs(range.low))) {
    const double half = range.low == 0 ? 1 : 0.1 * std::abs(range.low);
    return {range.low - half, range.high + half};
  }
  return range;
}

Range padded(Range range, double fraction) {
  const double more = fraction * (range.high - range.low);
  return {range.low - more, range.high + more};
}

Range padded_log(Range range, double fraction) {
  const double factor = std::pow(range.high / range.low, fraction);
  return {range.low / factor, range.high * factor};
}

std::vector<Tick> linear_ticks(Range range, int max_count) {
  double step = nice_step((range.high - range.low) / std::max(1, max_count));
  const auto first_of = [&] { return std::ceil(range.low / step - 1e-9); };
  const auto last_of = [&] { return std::floor(range.high / step + 1e-9); };
  while (last_of() - first_of() + 1 > std::max(1, max_count)) step = nice_step(step * 1.5);
  const int decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  std::vector<Tick> ticks;
  for (double index = first_of(); index <= last_of(); ++index) {
    ticks.push_back({index * step, fixed(index * step, decimals)});
  }
  return ticks;
}

std::vector<Tick> log_ticks(Range range, int max_count) {
  const std::vector<std::vector<int>> choices{{1, 2, 5}, {1, 3}, {1}};
  // Within a factor of a few there may be none of them; then the axis is nearly linear anyway.
  if (log_ticks_of(range, choices[0], 1).size() < 2) return linear_ticks(range, max_count);
  for (const auto& multiples : choices) {
    auto ticks = log_ticks_of(range, multiples, 1);
    if (static_cast<int>(ticks.size()) <= max_count) return ticks;
  }
  for (int every = 2;; ++every) {
    auto ticks = log_ticks_of(range, {1}, every);
    if (static_cast<int>(ticks.size()) <= std::max(1, max_count)) return ticks;
  }
}

}  // namespace lethe::report
