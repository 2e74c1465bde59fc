// A length of time in training: a number and a unit.
#pragma once

#include <cstdint>
#include <string>

namespace lethe {

struct Duration {
  enum class Unit : uint8_t { steps, epochs, tokens, run };
  double count = 0;  // whole for steps and tokens; epochs and the run's whole length (1) may be fractions
  Unit unit = Unit::steps;

  bool operator==(const Duration&) const = default;
};

// Reads "100 steps", "2 epochs", "5e6 tokens" or "0.1 run", singular or plural, the space optional; also
// Composer's suffixes: "100ba", "2ep", "5e6tok", "0.1dur". False if the text is none of them, the number is
// negative or not finite, or steps or tokens are not whole.
bool parse_duration(const std::string& text, Duration& duration);

std::string text_of(const Duration& duration);  // "1000 steps"

// What turns durations into steps. 0 or less: not known, and a duration that needs it is refused.
struct RunLength {
  int64_t steps = 0;
  double steps_per_epoch = 0;
  double tokens_per_step = 0;
};

// Optimizer steps: epochs and tokens up to the first step that completes them, a fraction of the run rounded
// down (as Composer's "0.1dur" is). Throws ConfigError naming `key` when the run's length in that unit is not
// known.
int64_t steps_of(const Duration& duration, const RunLength& run, const std::string& key);

}  // namespace lethe
