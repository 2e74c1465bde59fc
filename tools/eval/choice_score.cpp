#include "tools/eval/choice_score.h"

#include <cmath>

#include "tools/eval/python_text.h"

namespace lethe::eval {

int64_t first_largest(const std::vector<double>& values) {
  size_t best = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) return static_cast<int64_t>(i);
    if (values[i] > values[best]) best = i;
  }
  return static_cast<int64_t>(best);
}

ChoicePick pick(const std::vector<std::string>& choices, const std::vector<double>& log_likelihoods) {
  std::vector<double> per_letter, per_byte;
  for (size_t i = 0; i < choices.size(); ++i) {
    per_letter.push_back(log_likelihoods[i] / static_cast<double>(code_points(choices[i])));
    per_byte.push_back(log_likelihoods[i] / static_cast<double>(choices[i].size()));
  }
  return {first_largest(log_likelihoods), first_largest(per_letter), first_largest(per_byte)};
}

}  // namespace lethe::eval
