#include "tools/analysis/front.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace lethe::analysis {
namespace {

std::set<int64_t> seeds_of(const Condition& condition) {
  std::set<int64_t> seeds;
  for (const Run* run : condition.runs) seeds.insert(run->seed);
  return seeds;
}

Bargain bargain_of(const Grid& grid, const Panel& panel, const Run& run, const Timed& learned,
                   const Timed& forgotten) {
  const Measure &a = panel.learning.front(), &b = panel.forgetting.front();
  return {a.gain(grid.base_score(run, a), learned.value), b.gain(grid.base_score(run, b), forgotten.value),
          learned.standard_error, forgotten.standard_error, run.job};
}

void add(std::vector<Bargain>& points, const Bargain& point) {
  if (std::isfinite(point.learned) && std::isfinite(point.forgotten)) points.push_back(point);
}

}  // namespace

std::vector<Bargain> pareto_front(std::vector<Bargain> points) {
  std::stable_sort(points.begin(), points.end(), [](const Bargain& a, const Bargain& b) {
    return a.learned != b.learned ? a.learned > b.learned : a.forgotten < b.forgotten;
  });
  std::vector<Bargain> front;
  for (const Bargain& point : points) {
    if (front.empty() || point.forgotten < front.back().forgotten) front.push_back(point);
  }
  std::reverse(front.begin(), front.end());
  return front;
}

Price price_at(const std::vector<Bargain>& front, double learned) {
  if (front.empty() || !(learned <= front.back().learned)) return {};
  if (learned <= front.front().learned) return {front.front().forgotten, front.front().forgotten_error};
  const auto after =
      std::find_if(front.begin(), front.end(), [&](const Bargain& b) { return b.learned >= learned; });
  const Bargain &high = *after, &low = *(after - 1);
  const double share = (learned - low.learned) / (high.learned - low.learned);
  const double slope = (high.forgotten - low.forgotten) / (high.learned - low.learned);
  // A point that learned more than it seems moves the line by its slope.
  const auto error = [&](const Bargain& b, double weight) {
    return weight * std::hypot(b.forgotten_error, slope * b.learned_error);
  };
  return {low.forgotten + share * (high.forgotten - low.forgotten),
          std::hypot(error(low, 1 - share), error(high, share))};
}

std::vector<Bargain> front_of(const Grid& grid, const Panel& panel, const Condition& condition,
                              int64_t seed) {
  std::vector<Bargain> ends{{.learned_error = 0, .forgotten_error = 0}}, ways = ends;
  for (const Run* run : condition.runs) {
    if (run->seed != seed || run->diverged) continue;
    const std::vector<Timed> learned = grid.course(*run, panel.learning.front()),
                             forgotten = grid.course(*run, panel.forgetting.front());
    if (learned.empty() || forgotten.empty()) continue;
    add(ends, bargain_of(grid, panel, *run, learned.back(), forgotten.back()));
    for (const Timed& one : learned) {
      const auto same = std::find_if(forgotten.begin(), forgotten.end(),
                                     [&](const Timed& f) { return f.step == one.step; });
      if (same != forgotten.end()) add(ways, bargain_of(grid, panel, *run, one, *same));
    }
  }
  return pareto_front(ends.size() > 2 ? std::move(ends) : std::move(ways));
}

EqualLearning at_equal_learning(const Grid& grid, const Panel& panel, const Condition& first,
                                const Condition& second, double share) {
  std::vector<Observation> a, b;
  double sum = 0;
  for (const int64_t seed : seeds_of(first)) {
    if (!seeds_of(second).contains(seed)) continue;
    const std::vector<Bargain> mine = front_of(grid, panel, first, seed),
                               other = front_of(grid, panel, second, seed);
    const double learned = share * std::min(mine.back().learned, other.back().learned);
    if (!(learned > 0)) continue;
    const Price my = price_at(mine, learned), its = price_at(other, learned);
    a.push_back({seed, my.forgotten, my.standard_error});
    b.push_back({seed, its.forgotten, its.standard_error});
    sum += learned;
  }
  if (a.empty()) return {};
  return {sum / static_cast<double>(a.size()), estimate_of(a), estimate_of(b), difference(a, b)};
}

}  // namespace lethe::analysis
