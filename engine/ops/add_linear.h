// y += scale * u W^T: a low-rank adapter's second factor, added where the frozen map wrote its result.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// u: [rows, in]; weight: [out, in]; y: [rows, out], possibly a view, written before and read by no node yet.
// Dtypes as for linear. Throws ShapeError naming the tensors that do not fit.
void add_linear(Tape& tape, Var y, Var u, Var weight, double scale, const std::string& name = "add_linear");

}  // namespace lethe::ops
