// y_i = x_i for many tensors in one node.
#pragma once

#include <vector>

#include "engine/tape.h"

namespace lethe::ops {

// Copies each of `from` into the tensor of `into` at the same place: the same rows and width, pitches of
// their own. All of `from` have one dtype and all of `into` another or the same: float64, float32 and
// bfloat16 to themselves, or float32 to bfloat16, rounded to nearest. The copies replace what is there.
// Throws ShapeError.
void copy_all(Tape& tape, const std::vector<Var>& from, const std::vector<Output>& into,
              const std::string& name);

}  // namespace lethe::ops
