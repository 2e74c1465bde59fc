#include "tools/options/scalar.h"

#include <charconv>
#include <cmath>

namespace lethe {
namespace {

// The text without a leading plus sign, which from_chars refuses.
std::string_view without_plus(const std::string& text) {
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  return std::string_view(text).substr(plus ? 1 : 0);
}

template <class T>
std::optional<T> parse_all(std::string_view text) {
  T value{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

std::optional<bool> parse_boolean(const std::string& text) {
  for (const char* word : {"true", "True", "yes", "on"}) {
    if (text == word) {
      return true;
    }
  }
  for (const char* word : {"false", "False", "no", "off"}) {
    if (text == word) {
      return false;
    }
  }
  return std::nullopt;
}

std::optional<double> parse_number(const std::string& text) {
  const std::optional<double> value = parse_all<double>(without_plus(text));
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<int64_t> parse_integer(const std::string& text) {
  if (const auto value = parse_all<int64_t>(without_plus(text))) {
    return value;
  }
  // Beyond 2^53 a double no longer names one integer.
  const std::optional<double> value = parse_number(text);
  if (value && *value == std::floor(*value) && std::abs(*value) <= 0x1p53) {
    return static_cast<int64_t>(*value);
  }
  return std::nullopt;
}

}  // namespace lethe
