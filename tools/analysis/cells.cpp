// The scores of a study's runs, and the runs of one duration and learning rate.
#include <algorithm>
#include <cmath>
#include <set>

#include "tools/analysis/grid.h"

namespace lethe::analysis {

double Grid::duration_of(const Panel& panel, const Run& run) const {
  return panel.by_epochs ? run.epochs : run.duration_tokens;
}

std::vector<Cell> Grid::rates(const Panel& panel, const Condition& condition, double duration) const {
  std::map<double, Cell> by_rate;
  for (const Run* run : condition.runs) {
    if (duration_of(panel, *run) != duration) continue;
    Cell& cell = by_rate[run->learning_rate];
    cell.duration = duration;
    cell.learning_rate = run->learning_rate;
    if (std::none_of(cell.runs.begin(), cell.runs.end(), [&](const Run* o) { return o->seed == run->seed; }))
      cell.runs.push_back(run);
  }
  std::vector<Cell> found;
  for (auto& [rate, cell] : by_rate) found.push_back(std::move(cell));
  return found;
}

std::vector<Cell> Grid::cells(const Panel& panel, const Condition& condition) const {
  std::set<double> durations;
  for (const Run* run : condition.runs) {
    if (std::isfinite(duration_of(panel, *run))) durations.insert(duration_of(panel, *run));
  }
  std::vector<Cell> found;
  for (const double duration : durations) {
    const auto merit = [&](const Cell& cell) {
      const bool diverged =
          std::any_of(cell.runs.begin(), cell.runs.end(), [](const Run* run) { return run->diverged; });
      // All of a condition start from one base: where it was not scored, the last scores give the same order.
      const Measure& measure = panel.learning.front();
      std::vector<Observation> reached = values(cell, measure);
      for (Observation& one : reached) one.value = measure.gain(0, one.value);
      const Estimate learned = estimate_of(reached);
      return std::tuple(!diverged && learned.known(), cell.runs.size(),
                        learned.known() ? learned.value : -INFINITY);
    };
    const std::vector<Cell> all = rates(panel, condition, duration);
    found.push_back(*std::max_element(all.begin(), all.end(),
                                      [&](const Cell& a, const Cell& b) { return merit(a) < merit(b); }));
  }
  return found;
}

std::vector<const Score*> Grid::scores_of(const Run& run) const {
  const auto found = scores_.find(run.job);
  return found == scores_.end() ? std::vector<const Score*>{} : found->second;
}

std::vector<const ChangeSpectrum*> Grid::spectra_of(const Run& run) const {
  const auto found = spectra_.find(run.job);
  return found == spectra_.end() ? std::vector<const ChangeSpectrum*>{} : found->second;
}

std::vector<Timed> Grid::course(const Run& run, const Measure& measure) const {
  return timed(scores_of(run), measure);
}

Timed Grid::final_score(const Run& run, const Measure& measure) const {
  const std::vector<Timed> all = course(run, measure);
  return all.empty() || run.diverged ? Timed{} : all.back();
}

double Grid::base_score(const Run& run, const Measure& measure) const {
  for (const Run& base : records_.runs) {
    if (base.job != run.base || !base.is_base()) continue;
    // What a base is scored by is no role of its own: the same held-out text may be either.
    Measure other = measure;
    for (const Role role : {measure.role, Role::learning, Role::forgetting}) {
      other.role = role;
      const Timed last = final_score(base, other);
      if (std::isfinite(last.value)) return last.value;
    }
  }
  const Run* at = &run;
  for (size_t steps = 0; at && steps <= records_.jobs.size(); ++steps) {
    const std::vector<Timed> own = course(*at, measure);
    if (!own.empty() && own.front().step == 0) return own.front().value;
    const Job* const job = records_.find_job(at->job);
    at = nullptr;
    for (size_t i = 0; job && !at && i < job->depends_on.size(); ++i) {
      const Run* const before = records_.run_of(job->depends_on[i]);
      if (before && !before->is_base()) at = before;
    }
  }
  return unknown;
}

std::vector<Observation> Grid::values(const Cell& cell, const Measure& measure) const {
  std::vector<Observation> found;
  for (const Run* run : cell.runs) {
    const Timed last = final_score(*run, measure);
    found.push_back({run->seed, last.value, last.standard_error});
  }
  return found;
}

std::vector<Observation> Grid::gains(const Cell& cell, const Measure& measure) const {
  std::vector<Observation> found = values(cell, measure);
  for (size_t i = 0; i < found.size(); ++i)
    found[i].value = measure.gain(base_score(*cell.runs[i], measure), found[i].value);
  return found;
}

std::vector<Cell> at_longest_shared(const std::vector<std::vector<Cell>>& cells) {
  if (cells.empty()) return {};
  for (auto longest = cells.front().rbegin(); longest != cells.front().rend(); ++longest) {
    std::vector<Cell> shared;
    for (const std::vector<Cell>& own : cells) {
      const auto same = std::find_if(own.begin(), own.end(),
                                     [&](const Cell& c) { return c.duration == longest->duration; });
      if (same != own.end()) shared.push_back(*same);
    }
    if (shared.size() == cells.size()) return shared;
  }
  return {};
}

}  // namespace lethe::analysis
