#include "data/mixture.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "engine/error.h"

namespace lethe {
namespace {

constexpr uint64_t one = uint64_t{1} << 32;

// How many of the first `positions` places a share takes: rounded to nearest.
uint64_t taken(uint64_t positions, uint64_t fraction) {
  const uint64_t high = positions >> 32, low = positions & (one - 1);
  return high * fraction + ((low * fraction + one / 2) >> 32);
}

}  // namespace

Mixture::Mixture(const std::vector<double>& weights) {
  if (weights.empty()) throw ConfigError("data.weights", "no source given");
  for (const double weight : weights) {
    if (!(weight >= 0.0) || !std::isfinite(weight)) {
      throw ConfigError("data.weights", fmt::format("must be 0 or more and finite, one is {}", weight));
    }
  }
  double left = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (!(left > 0.0) || !std::isfinite(left)) {
    throw ConfigError("data.weights", fmt::format("their sum must be above 0 and finite, is {}", left));
  }
  size_t last = 0;  // takes all that is left, whatever was rounded
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0.0) last = i;
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    const double share = i < last ? std::min(1.0, weights[i] / left) : (i == last ? 1.0 : 0.0);
    fractions_.push_back(static_cast<uint64_t>(std::llround(share * static_cast<double>(one))));
    left -= weights[i];
  }
}

Mixture::Place Mixture::at(uint64_t position) const {
  for (size_t source = 0;; ++source) {
    const uint64_t before = taken(position, fractions_[source]);
    if (taken(position + 1, fractions_[source]) > before) return {static_cast<int64_t>(source), before};
    position -= before;
  }
}

uint64_t Mixture::count(int64_t source, uint64_t positions) const {
  for (int64_t earlier = 0; earlier < source; ++earlier) positions -= taken(positions, fractions_[earlier]);
  return taken(positions, fractions_[source]);
}

}  // namespace lethe
