#include "tools/report/outcome.h"

#include <algorithm>
#include <cmath>

namespace lethe::report {
namespace {

Score score_of(const Point& point) {
  return {point.loss, point.accuracy, point.standard_error};
}

Score before(const Results& results, const std::vector<Point>& own, bool on_target) {
  if (!own.empty() && own.front().step == 0) return score_of(own.front());
  const std::vector<Point> base = results.points_of("base", on_target);
  return base.empty() ? Score{} : score_of(base.back());
}

Difference difference(const Score& a, const Score& b) {
  return {a.loss - b.loss, std::hypot(a.standard_error, b.standard_error)};
}

}  // namespace

bool Outcome::complete() const {
  return std::isfinite(learned()) && std::isfinite(forgot());
}

std::vector<Outcome> outcomes_of(const Results& results) {
  std::vector<Outcome> outcomes;
  for (const Run& run : results.runs) {
    if (run.method == Method::base) continue;
    const std::vector<Point> source = results.points_of(run.name, false);
    const std::vector<Point> target = results.points_of(run.name, true);
    Outcome outcome{.run = run};
    outcome.source_before = before(results, source, false);
    outcome.target_before = before(results, target, true);
    if (!source.empty()) outcome.source_after = score_of(source.back());
    if (!target.empty()) outcome.target_after = score_of(target.back());
    outcome.diverged = (!source.empty() && !std::isfinite(outcome.source_after.loss)) ||
                       (!target.empty() && !std::isfinite(outcome.target_after.loss));
    std::vector<double> ranks;
    for (const Spectrum& spectrum : results.spectra) {
      if (spectrum.run == run.name && spectrum.layer >= 0)
        ranks.push_back(static_cast<double>(spectrum.rank90));
    }
    outcome.rank90 = median(ranks);
    outcomes.push_back(outcome);
  }
  return outcomes;
}

bool Difference::clear() const {
  return std::abs(value) > 2 * standard_error;
}

Difference learned_more(const Outcome& a, const Outcome& b) {
  return difference(b.target_after, a.target_after);
}

Difference forgot_more(const Outcome& a, const Outcome& b) {
  return difference(a.source_after, b.source_after);
}

double forgot_when_learned(const Results& results, const std::string& run, double learned) {
  const std::vector<Point> target = results.points_of(run, true), source = results.points_of(run, false);
  double gain_before = unknown, cost_before = unknown;
  for (const Point& point : target) {
    const auto same_step =
        std::find_if(source.begin(), source.end(), [&](const Point& s) { return s.step == point.step; });
    if (same_step == source.end()) continue;
    const double gain = target.front().loss - point.loss, cost = same_step->loss - source.front().loss;
    if (gain >= learned) {
      if (std::isnan(gain_before)) return cost;
      return cost_before + (cost - cost_before) * (learned - gain_before) / (gain - gain_before);
    }
    gain_before = gain;
    cost_before = cost;
  }
  return unknown;
}

double median(std::vector<double> values) {
  if (values.empty()) return unknown;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace lethe::report
