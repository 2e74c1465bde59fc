// Which rank of several keeps the optimizer's state of which parameter.
#pragma once

#include <memory>
#include <vector>

#include "engine/comm/comm.h"
#include "engine/state.h"

namespace lethe {

// none: each rank keeps all of it and updates all parameters.
// zero1: each parameter has an owner, which alone keeps its state and updates it, and then hands it to the
// others (ZeRO stage 1: Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter
// Models", 2020; by whole tensors rather than by slices, so that each tensor's sums stay one rank's).
enum class Sharding { none, zero1 };

// The ranks that a step is shared by; no comm: there is one.
struct Distribution {
  std::shared_ptr<Comm> comm;
  Sharding sharding = Sharding::none;

  int world() const { return comm ? comm->world() : 1; }
};

// The owner of each parameter (State indices): the largest first, each to the rank that has least so far.
// Throws ConfigError if there are fewer parameters than ranks.
std::vector<int> owners_of(const State& state, const std::vector<int32_t>& parameters, int world);

}  // namespace lethe
