// x_i = the sum of x_i over the ranks of a run.
#pragma once

#include <memory>
#include <vector>

#include "engine/comm/comm.h"
#include "engine/tape.h"

namespace lethe::ops {

// Replaces each tensor, on every rank, by the sum that Comm::all_reduce makes: the bits do not depend on how
// the tensors lie. One node for each dtype (float64, float32, bfloat16, int64), in the order of the first
// tensor that has it; small tensors travel together. All ranks must record the same. Throws ShapeError.
void all_reduce(Tape& tape, const std::vector<Var>& tensors, const std::shared_ptr<Comm>& comm,
                const std::string& name = "all_reduce");

}  // namespace lethe::ops
