// Pareto fronts in the plane of what was learned and what was forgotten.
#pragma once

#include <string>
#include <vector>

#include "tools/analysis/grid.h"

namespace lethe::analysis {

struct Bargain {
  double learned = 0, forgotten = 0;
  double learned_error = unknown, forgotten_error = unknown;  // standard errors over held-out documents
  std::string job;
};

// Those that no other beats: none learned at least as much and forgot less, or learned more and forgot no
// more. By what they learned, which is also by what they forgot.
std::vector<Bargain> pareto_front(std::vector<Bargain> points);

// What must be forgotten to have learned `learned`: linear between the front's points, the first of them for
// less than it learned; the error by those of its neighbours. NaN beyond the last.
struct Price {
  double forgotten = unknown, standard_error = unknown;
};
Price price_at(const std::vector<Bargain>& front, double learned);

// The front of one condition for one seed: its runs' ends at every learning rate and duration, and the base,
// which has learned and forgotten nothing. With one end alone, the way to it counts too.
std::vector<Bargain> front_of(const Grid& grid, const Panel& panel, const Condition& condition, int64_t seed);

// Forgetting at equal learning, seed by seed: each condition's price at the most that both fronts reach
// (times `share`).
struct EqualLearning {
  double learned = unknown;       // mean over seeds of where it was compared
  Estimate first, second, saved;  // forgotten by each, and first - second
};
EqualLearning at_equal_learning(const Grid& grid, const Panel& panel, const Condition& first,
                                const Condition& second, double share = 1);

}  // namespace lethe::analysis
