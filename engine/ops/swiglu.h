// The gated unit silu(gate) * up; the formulas stand in kernels/swiglu.h.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// gate, up: [rows, C], often the two halves of one buffer. Returns [rows, C]. Throws ShapeError when shapes
// or dtypes differ.
Var swiglu(Tape& tape, Var gate, Var up, const std::string& name = "swiglu");

}  // namespace lethe::ops
