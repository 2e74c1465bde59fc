// A scalar out of a tensor: what a gradient check differentiates.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// Adds sum(x * weights) to `into` (one element of x's compute dtype) or replaces it. weights: x's shape and
// dtype, constant. Throws ShapeError when they differ.
void weighted_sum(Tape& tape, Var x, Var weights, Output into);

}  // namespace lethe::ops
