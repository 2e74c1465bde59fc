// Directions that tuning made and the base did not have, beside what was forgotten.
#include <fmt/format.h>

#include <cmath>

#include "tools/analysis/analysis.h"
#include "tools/analysis/changes.h"
#include "tools/analysis/draw.h"
#include "tools/report/numbers.h"

namespace lethe::analysis {

using report::fixed;
using report::joined;

Analysis intruder_analysis(const Grid& grid) {
  Analysis found{.name = "intruders", .title = "Intruder dimensions"};
  found.table.columns = {"family", "target", "method"};
  add_estimate_columns(found.table.columns, "intruders_per_matrix");
  add_estimate_columns(found.table.columns, "forgotten");
  std::vector<Row> rows;
  std::string words;
  for (const Panel& panel : grid.panels()) {
    const Measure& measure = panel.forgetting.front();
    const double unit = measure.is_loss() ? 1 : 100;
    std::vector<double> counts, forgotten;
    std::vector<std::string> said;
    for (const Condition& condition : grid.main_conditions(panel)) {
      std::vector<Observation> means, forgot;
      for (const Run* run : runs_with_spectra(grid, panel, condition)) {
        std::vector<Observation> matrices;
        const Spectra last = course_of_change(grid, *run).rbegin()->second;
        for (const ChangeSpectrum* s : last) matrices.push_back({0, intruders_of(*s)});
        const Estimate mean = estimate_of(matrices);
        if (!mean.known()) continue;
        means.push_back({run->seed, mean.value, mean.over_seeds / 1.96});
        const std::vector<Observation> own = grid.gains({.runs = {run}}, measure);
        forgot.push_back(own.front());
      }
      if (means.empty()) continue;
      for (size_t i = 0; i < means.size(); ++i) {
        if (!std::isfinite(forgot[i].value)) continue;
        counts.push_back(means[i].value);
        forgotten.push_back(forgot[i].value);
      }
      Estimate per_matrix = estimate_of(means);
      per_matrix.basis = "matrices";
      rows.push_back({.group = panel.name(),
                      .label = condition.label,
                      .look = condition.look,
                      .cells = {per_matrix, scaled(estimate_of(forgot), unit)}});
      std::vector<std::string> line{panel.family, panel.target, condition.label};
      add_estimate(line, per_matrix);
      add_estimate(line, estimate_of(forgot));
      found.table.rows.push_back(std::move(line));
      said.push_back(fmt::format("{} {}", condition.label, with_interval(per_matrix, 2)));
    }
    if (said.empty()) continue;
    const double rho = spearman(counts, forgotten);
    words += fmt::format("{}, per matrix: {}", panel.name(), joined(said));
    if (std::isfinite(rho))
      words += fmt::format("; Spearman's correlation with what was forgotten, over {} runs: {}",
                           counts.size(), fixed(rho, 2));
    words += ". ";
  }
  if (rows.empty()) {
    found.words = "The file has no counts of intruder dimensions.";
    return found;
  }
  found.words =
      "Of the tuned matrix's first singular vectors, those whose cosine with every singular vector of the "
      "base lies below the threshold (arXiv 2410.21228), at the end of the longest runs. " +
      words;
  found.figure = forest(rows, {{"Intruder dimensions per matrix", 0},
                               {"Forgotten since the base (nats per token, or points)", 0}});
  return found;
}

}  // namespace lethe::analysis
