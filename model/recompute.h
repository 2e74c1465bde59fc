// What the forward pass keeps for the backward pass, and what is computed a second time there instead
// (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016).
#pragma once

#include <string>

#include "engine/tape.h"

namespace lethe {

enum class Recompute {
  none,     // keep everything
  rmsnorm,  // make what norms return again
  swiglu,   // make what the gated units return again
  norms,    // both, and dropout: cheap, and the usual choice where memory is short
  mlp,      // norms, and the whole feed-forward layer
  block,    // keep only each block's input
};

// "none", "rmsnorm", "swiglu", "norms", "mlp" or "block"; throws ConfigError for anything else.
Recompute recompute_from(const std::string& text);

// Marks the nodes of a recorded forward pass; call between recording and backward. layers: how many of the
// first layers the policy holds for; 0: all, and what stands outside of layers too. What the first layers
// keep lives longest, but at the peak all of it is alive: which layers they are is the same.
void drop_for_recompute(Tape& tape, Recompute policy, int64_t layers = 0);

}  // namespace lethe
