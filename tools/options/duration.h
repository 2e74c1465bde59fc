// How long something lasts in training: "1000 steps", "2 epochs", "5e6 tokens".
#pragma once

#include <cstdint>
#include <string>

namespace lethe {

struct Duration {
  enum class Unit : uint8_t { steps, epochs, tokens };
  double count = 0;  // whole for steps and tokens; epochs may be a fraction
  Unit unit = Unit::steps;

  bool operator==(const Duration&) const = default;
};

// Reads a number and a unit (singular or plural, a space between them or none) into `duration`; false if the
// text is neither, the number is negative or not finite, or steps or tokens are not whole.
bool parse_duration(const std::string& text, Duration& duration);

std::string text_of(const Duration& duration);  // "1000 steps"

}  // namespace lethe
