// A YAML scalar's text as a typed value; nothing if it is not one, whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lethe {

std::optional<bool> parse_boolean(const std::string& text);     // true, false, yes, no, on, off
std::optional<int64_t> parse_integer(const std::string& text);  // "8", and "5e6" where that is whole
std::optional<double> parse_number(const std::string& text);    // finite

}  // namespace lethe
