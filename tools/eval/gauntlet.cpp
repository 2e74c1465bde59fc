#include "tools/eval/gauntlet.h"

#include <algorithm>

#include "tools/eval/choice_score.h"
#include "tools/eval/python_random.h"
#include "tools/eval/python_set.h"

namespace lethe::eval {

std::vector<std::vector<int64_t>> draw_gauntlet_shots(int64_t documents, int64_t pool, int64_t shots,
                                                      uint64_t seed) {
  std::vector<std::vector<int64_t>> drawn;
  PythonRandom random(seed);
  for (int64_t d = 0; d < documents; ++d) {
    PythonSet chosen;
    if (shots > 0) {
      for (const int64_t p : random.sample(pool, std::min(shots, pool - 1))) chosen.insert(p);
    }
    if (chosen.contains(d)) {
      chosen.erase(d);
      int64_t other = d;
      while (other == d || chosen.contains(other)) other = random.below(pool);
      chosen.insert(other);
    }
    drawn.push_back(chosen.values());
  }
  return drawn;
}

int64_t smallest_mean_loss(const std::vector<double>& log_likelihoods, const std::vector<int64_t>& tokens) {
  std::vector<double> means;
  for (size_t i = 0; i < log_likelihoods.size(); ++i)
    means.push_back(log_likelihoods[i] / static_cast<double>(tokens[i]));
  return first_largest(means);
}

double above_chance(double accuracy, double baseline) {
  return (accuracy - baseline) / (1 - baseline);
}

}  // namespace lethe::eval
