// The claims about the change of the weights and about the learning rate.
#include <fmt/format.h>

#include <cmath>

#include "tools/analysis/changes.h"
#include "tools/analysis/claims.h"
#include "tools/analysis/rates.h"

namespace lethe::analysis {

Claim full_change_has_high_rank(const Grid& grid) {
  constexpr double times = 10;  // the paper: 10 to 100 times the usual ranks of LoRA
  Claim claim{.name = "full_change_has_high_rank",
              .text = "Full fine-tuning's change has high rank",
              .unit = "Rank for 90% of the variance of full's change, over LoRA's rank",
              .rule = fmt::format(
                  "the median rank over matrices is at least {:g} times the least rank of LoRA", times),
              .mark = times,
              .decimals = 1};
  for (const Panel& panel : grid.panels()) {
    const std::vector<Condition> conditions = grid.main_conditions(panel);
    if (conditions.size() < 2 || !conditions.front().like->is_full()) continue;
    std::vector<Spectra> seeds;
    for (const Run* run : runs_with_spectra(grid, panel, conditions.front()))
      seeds.push_back(course_of_change(grid, *run).rbegin()->second);
    if (seeds.empty()) continue;
    const Estimate rank = median_over_matrices(seeds, rank90_of);
    for (size_t i = 1; i < conditions.size(); ++i) {
      const auto lora = static_cast<double>(conditions[i].like->rank);
      Comparison c{.panel = panel.name(),
                   .label = fmt::format("rank {:.0f}, over r{:g}", rank.value, lora),
                   .look = conditions[i].look,
                   .value = scaled(rank, 1 / lora),
                   .decides = i == 1};
      Estimate above = c.value;
      above.value -= times;
      c.verdict = verdict_of(above);
      claim.comparisons.push_back(c);
    }
  }
  return claim;
}

Claim best_rate_is_ten_times(const Grid& grid) {
  Claim claim{.name = "best_rate_is_ten_times",
              .text = "LoRA's best learning rate is about 10 times full's",
              .unit = "Best learning rate over full's, as a power of ten",
              .rule = "the interval holds 10 times and not once; it does not hold if 10 times lies outside",
              .mark = 1,
              .decimals = 2};
  for (const Panel& panel : grid.panels()) {
    const std::vector<RateSweep> sweeps = rate_sweeps(grid, panel);
    if (sweeps.size() < 2 || !sweeps.front().condition.like->is_full()) continue;
    const auto full = best_rate(sweeps.front());
    for (size_t i = 1; full && i < sweeps.size(); ++i) {
      const auto own = best_rate(sweeps[i]);
      if (!own) continue;
      const Estimate ratio = rate_ratio(*own, *full);
      Comparison c{
          .panel = panel.name(),
          .label = fmt::format("{}, {:.1f} times", sweeps[i].condition.label, std::pow(10, ratio.value)),
          .look = sweeps[i].condition.look,
          .value = ratio};
      if (std::isnan(ratio.half_width())) {
        c.label += ", at the grid's edge";
      } else if (ratio.low() > 1 || ratio.high() < 1) {
        c.verdict = Verdict::does_not_hold;
      } else if (ratio.low() > 0) {
        c.verdict = Verdict::holds;
      }
      claim.comparisons.push_back(c);
    }
  }
  return claim;
}

}  // namespace lethe::analysis
