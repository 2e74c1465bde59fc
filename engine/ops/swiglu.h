// The gated unit silu(gate) * up; the formulas stand in kernels/swiglu.h.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// gate, up: [rows, C], often the two halves of one buffer. Returns [rows, C], with rows
// `pitch` elements apart; 0: C. Throws ShapeError when shapes or dtypes differ.
Var swiglu(Tape& tape, Var gate, Var up, const std::string& name = "swiglu", int64_t pitch = 0);

}  // namespace lethe::ops
