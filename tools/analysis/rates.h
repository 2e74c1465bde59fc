// Where a method's learning rate is best, and how sharply.
#pragma once

#include <optional>
#include <vector>

#include "tools/analysis/grid.h"

namespace lethe::analysis {

// One condition at several learning rates of one duration, ascending.
struct RateSweep {
  Condition condition;
  std::vector<Cell> cells;
  std::vector<Estimate> learned;  // unknown where it diverged
};

// At the duration with the most learning rates (of several such the longest): the main conditions that have
// at least two there.
std::vector<RateSweep> rate_sweeps(const Grid& grid, const Panel& panel);

// The best rate as a power of ten: the vertex of the parabola through the best of those tried and its
// neighbours, known to half the distance to the further one. At the edge of what was tried, or with a
// neighbour that diverged, the best may lie beyond: there is no vertex then and no half width.
struct BestRate {
  double exponent = unknown, half_width = unknown;
  size_t index = 0;
};
std::optional<BestRate> best_rate(const RateSweep& sweep);

// log10 of how many times full fine-tuning's best rate a method's is; the half widths add.
Estimate rate_ratio(const BestRate& method, const BestRate& full);

}  // namespace lethe::analysis
