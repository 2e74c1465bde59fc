// y = x, or y += x.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// Copies or adds x into an existing tensor of the same shape and dtype (or of a wider one: gradients of
// parameters may be float where activations are bf16). Throws ShapeError naming both.
void copy(Tape& tape, Var x, Output into);

}  // namespace lethe::ops
