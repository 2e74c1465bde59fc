// Root-mean-square normalisation with a gain; the formula stands in kernels/rmsnorm.h.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// x: [rows, C]; gain: [C] of x's dtype. Returns [rows, C], its rows `pitch` elements apart (0: C). Throws
// ShapeError when the widths or dtypes differ.
Var rmsnorm(Tape& tape, Var x, Var gain, double epsilon, const std::string& name = "norm", int64_t pitch = 0);

}  // namespace lethe::ops
