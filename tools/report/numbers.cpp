#include "tools/report/numbers.h"

#include <fmt/format.h>

#include <cmath>

namespace lethe::report {
namespace {

constexpr const char* minus = "\u2212";

// Commas into the digits before the point.
std::string with_commas(const std::string& digits) {
  const size_t point = std::min(digits.find('.'), digits.size());
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && i < point && (point - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

bool all_zero(const std::string& digits) {
  return digits.find_first_of("123456789") == std::string::npos;
}

}  // namespace

std::string grouped(int64_t value) {
  return fixed(static_cast<double>(value), 0);
}

std::string fixed(double value, int decimals) {
  if (std::isnan(value)) return "–";
  if (std::isinf(value)) return value < 0 ? std::string(minus) + "∞" : "∞";
  const std::string digits = fmt::format("{:.{}f}", std::abs(value), decimals);
  return (value < 0 && !all_zero(digits) ? minus : "") + with_commas(digits);
}

std::string signed_fixed(double value, int decimals) {
  const std::string text = fixed(value, decimals);
  return value > 0 && !all_zero(text) ? "+" + text : text;
}

std::string compact(double value) {
  if (!std::isfinite(value)) return fixed(value, 0);
  double scaled = std::abs(value);
  const char* units[] = {"", "k", "M", "B", "T"};
  size_t unit = 0;
  while (scaled >= 999.5 && unit + 1 < std::size(units)) scaled /= 1000, ++unit;
  if (unit == 0) return fixed(value, scaled == std::floor(scaled) || scaled >= 100 ? 0 : 1);
  const int decimals = scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
  return fixed(std::copysign(scaled, value), decimals) + units[unit];
}

std::string scientific(double value) {
  if (!std::isfinite(value) || value == 0) return fixed(value, 0);
  std::string text = fmt::format("{:.2e}", value);
  const size_t e = text.find('e');
  std::string mantissa = text.substr(0, e);
  while (mantissa.back() == '0') mantissa.pop_back();
  if (mantissa.back() == '.') mantissa.pop_back();
  return fmt::format("{}e{}", mantissa, std::stoi(text.substr(e + 1)));
}

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "–";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

std::string bytes_text(int64_t bytes) {
  const char* units[] = {"bytes", "kB", "MB", "GB", "TB"};
  auto scaled = static_cast<double>(bytes);
  size_t unit = 0;
  while (scaled >= 1000 && unit + 1 < std::size(units)) scaled /= 1000, ++unit;
  return fmt::format("{} {}", fixed(scaled, unit == 0 ? 0 : 1), units[unit]);
}

std::string escape(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

}  // namespace lethe::report
