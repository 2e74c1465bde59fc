// What a benchmark makes of the choices' log-likelihoods.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lethe::eval {

// The first place of the largest value; not a number counts as larger than all.
int64_t first_largest(const std::vector<double>& values);

struct ChoicePick {
  int64_t raw = 0;         // by the log-likelihood itself
  int64_t per_letter = 0;  // divided by the choice's code points, as acc_norm has it
  int64_t per_byte = 0;    // by its bytes
};

// choices: without the space before them, one for each log-likelihood.
ChoicePick pick(const std::vector<std::string>& choices, const std::vector<double>& log_likelihoods);

}  // namespace lethe::eval
