#include "tools/analysis/rates.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace lethe::analysis {

std::vector<RateSweep> rate_sweeps(const Grid& grid, const Panel& panel) {
  const std::vector<Condition> conditions = grid.main_conditions(panel);
  std::map<double, std::set<std::pair<const Condition*, double>>> rates;  // by duration
  for (const Condition& condition : conditions)
    for (const Run* run : condition.runs)
      rates[grid.duration_of(panel, *run)].insert({&condition, run->learning_rate});
  double duration = unknown;
  size_t most = 0;
  for (const auto& [at, tried] : rates) {
    if (std::isfinite(at) && tried.size() >= most) duration = at, most = tried.size();
  }
  std::vector<RateSweep> found;
  for (const Condition& condition : conditions) {
    RateSweep sweep{.condition = condition, .cells = grid.rates(panel, condition, duration)};
    if (sweep.cells.size() < 2) continue;
    for (const Cell& at : sweep.cells) {
      const bool diverged =
          std::any_of(at.runs.begin(), at.runs.end(), [](const Run* run) { return run->diverged; });
      sweep.learned.push_back(diverged ? Estimate{} : estimate_of(grid.gains(at, panel.learning.front())));
    }
    found.push_back(std::move(sweep));
  }
  return found;
}

std::optional<BestRate> best_rate(const RateSweep& sweep) {
  std::optional<BestRate> best;
  for (size_t i = 0; i < sweep.cells.size(); ++i) {
    if (!sweep.learned[i].known()) continue;
    if (!best || sweep.learned[i].value > sweep.learned[best->index].value)
      best = {std::log10(sweep.cells[i].learning_rate), unknown, i};
  }
  if (!best || best->index == 0 || best->index + 1 == sweep.cells.size()) return best;
  const size_t i = best->index;
  // A run that ended worse than its base is no point of a parabola about the best.
  for (const size_t beside : {i - 1, i + 1})
    if (!sweep.learned[beside].known() || sweep.learned[beside].value < 0) return best;
  const double left = std::log10(sweep.cells[i - 1].learning_rate) - best->exponent;
  const double right = std::log10(sweep.cells[i + 1].learning_rate) - best->exponent;
  // y = y_i + slope x + bend x^2 through both neighbours; bend < 0 because y_i is the greatest.
  const double down_left = sweep.learned[i - 1].value - sweep.learned[i].value;
  const double down_right = sweep.learned[i + 1].value - sweep.learned[i].value;
  const double bend = (down_right / right - down_left / left) / (right - left);
  const double slope = down_right / right - bend * right;
  if (bend < 0) best->exponent += std::clamp(-slope / (2 * bend), left / 2, right / 2);
  best->half_width = std::max(-left, right) / 2;
  return best;
}

Estimate rate_ratio(const BestRate& method, const BestRate& full) {
  return {.value = method.exponent - full.exponent,
          .seeds = 1,
          .held_out = method.half_width + full.half_width,
          .basis = "the grid of rates"};
}

}  // namespace lethe::analysis
