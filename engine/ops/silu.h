// y = x / (1 + e^-x).
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// x: any shape of a floating dtype. Returns the same shape. Throws ShapeError for integers.
Var silu(Tape& tape, Var x, const std::string& name = "silu");

}  // namespace lethe::ops
