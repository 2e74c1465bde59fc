// The ranks' shares of the gradients become those of the whole step, while the backward pass goes on.
#pragma once

#include "engine/tape.h"
#include "optim/owners.h"

namespace lethe {

// Of a recorded forward and backward pass: where the gradients of some layers are complete (bucket_bytes of
// them), a node beside the pass sums them over the ranks.
//   Sharding::none: on all ranks. zero1: on each parameter's owner alone.
//   zero2, zero3: likewise, and the gradients of parameters that other ranks own live no longer than that.
// write: whether the program's gradients replace what the step has so far or are added to it. The tape was
// recorded with Write::overwrite, unless the sums come once a step (distribution.sums_each_micro_batch() is
// false): then it was recorded with `write`, and the sums include what was there. owners: weight_owners.
void append_gradient_sums(Tape& tape, kernels::Write write, const Distribution& distribution,
                          const std::vector<int>& owners);

// "layers.3" of a tensor's name, or the whole name where it is in no layer: what is computed with together.
std::string layer_of(const std::string& name);

}  // namespace lethe
