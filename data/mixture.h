// Several sources interleaved in given proportions, with a closed form for each place of the sequence.
#pragma once

#include <cstdint>
#include <vector>

namespace lethe {

class Mixture {
 public:
  // Shares are weight / sum of weights. Throws ConfigError("data.weights") for none, a negative or not finite
  // one, or all zero.
  explicit Mixture(const std::vector<double>& weights);

  struct Place {
    int64_t source;
    uint64_t index;  // how many rows of this source came before
  };
  // What is dealt at a position. Source 0 takes its share of the positions as evenly as it can be done (a
  // Sturmian sequence, as Bresenham draws a line), source 1 its share of the places left over, and so on:
  // O(sources) time.
  Place at(uint64_t position) const;

  // How many of the first `positions` are of `source`: within the number of sources of its share.
  uint64_t count(int64_t source, uint64_t positions) const;

 private:
  std::vector<uint64_t> fractions_;  // of the places that earlier sources left, in units of 2^-32
};

}  // namespace lethe
