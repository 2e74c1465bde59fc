// The next token out of its logits.
#pragma once

#include <cstdint>
#include <span>

#include "engine/rng.h"

namespace lethe {

struct SamplingOptions {
  double temperature = 0;  // 0: the most probable token, the lowest id among equals
  double top_p =
      1;  // the fewest most probable tokens whose probabilities reach this sum (Holtzman et al. 2020)
  int64_t top_k = 0;  // 0: all
};

// `position` makes the draw: the same logits at the same position give the same token.
int32_t sample(std::span<const float> logits, const SamplingOptions& options, const Rng& rng,
               uint64_t position);

}  // namespace lethe
