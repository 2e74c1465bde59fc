#include "tools/run/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace lethe {

int32_t sample(std::span<const float> logits, const SamplingOptions& options, const Rng& rng,
               uint64_t position) {
  if (options.temperature <= 0)
    return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  if (options.top_k > 0 && options.top_k < static_cast<int64_t>(order.size()))
    order.resize(static_cast<size_t>(options.top_k));
  std::vector<double> weight(order.size());
  const double highest = logits[static_cast<size_t>(order[0])];
  for (size_t i = 0; i < order.size(); ++i)
    weight[i] = std::exp((logits[static_cast<size_t>(order[i])] - highest) / options.temperature);
  const double all = std::reduce(weight.begin(), weight.end());
  double kept = 0;
  size_t count = 0;
  while (count < weight.size() && (count == 0 || kept < options.top_p * all)) kept += weight[count++];
  double left = rng.uniform(position) * kept;
  for (size_t i = 0; i < count; ++i) {
    left -= weight[i];
    if (left < 0) return order[i];
  }
  return order[count - 1];
}

}  // namespace lethe
