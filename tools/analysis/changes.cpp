#include "tools/analysis/changes.h"

#include <algorithm>
#include <cmath>

namespace lethe::analysis {

std::map<double, Spectra> course_of_change(const Grid& grid, const Run& run) {
  std::map<double, Spectra> found;
  for (const ChangeSpectrum* spectrum : grid.spectra_of(run))
    if (std::isfinite(spectrum->tokens)) found[spectrum->tokens].push_back(spectrum);
  return found;
}

std::vector<const Run*> runs_with_spectra(const Grid& grid, const Panel& panel, const Condition& condition) {
  std::map<int64_t, const Run*> by_seed;
  std::vector<Cell> cells = grid.cells(panel, condition);
  const auto is_compared = [&](const Run* run) {
    return std::any_of(cells.begin(), cells.end(), [&](const Cell& c) {
      return std::find(c.runs.begin(), c.runs.end(), run) != c.runs.end();
    });
  };
  const auto merit = [&](const Run* run) {
    return std::pair(is_compared(run), grid.duration_of(panel, *run));
  };
  for (const Run* run : condition.runs) {
    if (course_of_change(grid, *run).empty()) continue;
    const auto [known, added] = by_seed.try_emplace(run->seed, run);
    if (!added && merit(run) > merit(known->second)) known->second = run;
  }
  std::vector<const Run*> found;
  for (const auto& [seed, run] : by_seed) found.push_back(run);
  return found;
}

std::vector<std::string> modules_in(const Spectra& spectra) {
  static const std::vector<std::string> usual{"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                              "gate_proj", "up_proj", "down_proj"};
  std::vector<std::string> found;
  for (const ChangeSpectrum* s : spectra)
    if (std::find(found.begin(), found.end(), s->module) == found.end()) found.push_back(s->module);
  const auto position = [&](const std::string& name) {
    return std::find(usual.begin(), usual.end(), name) - usual.begin();
  };
  std::sort(found.begin(), found.end(), [&](const std::string& a, const std::string& b) {
    return std::pair(position(a), a) < std::pair(position(b), b);
  });
  return found;
}

double rank90_of(const ChangeSpectrum& spectrum) {
  return static_cast<double>(spectrum.rank90);
}

double stable_rank_of(const ChangeSpectrum& spectrum) {
  return spectrum.stable_rank;
}

double effective_rank_of(const ChangeSpectrum& spectrum) {
  return spectrum.effective_rank;
}

double intruders_of(const ChangeSpectrum& spectrum) {
  return spectrum.intruder_dimensions < 0 ? unknown : static_cast<double>(spectrum.intruder_dimensions);
}

Estimate median_over_matrices(const std::vector<Spectra>& seeds, Quantity quantity) {
  std::vector<Observation> medians;
  Median last;
  for (const Spectra& spectra : seeds) {
    std::vector<double> values;
    for (const ChangeSpectrum* s : spectra) values.push_back(quantity(*s));
    last = median_of(values);
    medians.push_back({static_cast<int64_t>(medians.size()), last.value});
  }
  Estimate found = estimate_of(medians);
  found.basis = "matrices";
  if (medians.size() == 1) found.held_out = std::max(last.value - last.low, last.high - last.value);
  return found;
}

}  // namespace lethe::analysis
