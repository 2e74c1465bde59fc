// Which rank of several keeps what of the training state.
#pragma once

#include <memory>
#include <vector>

#include "engine/comm/comm.h"
#include "engine/state.h"

namespace lethe {

// Whole tensors have owners (ZeRO: Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion
// Parameter Models", 2020; by tensors rather than by slices, so that each tensor's sums stay one rank's).
enum class Sharding {
  none,   // each rank keeps all of it and updates all parameters
  zero1,  // the owner alone keeps a parameter's optimizer state and updates it, and then hands it to the
          // others
  zero2,  // and its gradient, beyond the moment in which it is computed
  zero3   // and the weight itself, trained or frozen: the others borrow it while they compute with it
};
// Throws ConfigError for another name.
Sharding sharding_from(const std::string& name);

// The ranks that a step is shared by; no comm: there is one.
struct Distribution {
  std::shared_ptr<Comm> comm;
  Sharding sharding = Sharding::none;
  // Sum over the ranks after every micro-batch and not only after a step's last: the order of the sums, and
  // so their bits, are then the same for every sharding. zero2 and zero3 always do.
  bool sum_each_micro_batch = false;
  // Gradients are summed as soon as so many bytes of them are complete.
  int64_t bucket_bytes = int64_t{64} << 20;
  bool alone_too = false;  // record the sums of one rank too: to measure what they cost

  int world() const { return comm ? comm->world() : 1; }
  bool shared() const { return comm && (world() > 1 || alone_too); }
  bool sums_each_micro_batch() const { return sum_each_micro_batch || sharding >= Sharding::zero2; }
};

// The owner of each tensor (State indices): the largest first, each to the rank that has least so far.
// Throws ConfigError if there are fewer tensors than ranks.
std::vector<int> owners_of(const State& state, const std::vector<int32_t>& tensors, int world);

// By State index, -1: each rank keeps it. Of the trained parameters, with zero3 of all weights.
std::vector<int> weight_owners(const State& state, const Distribution& distribution);

}  // namespace lethe
