// Root-mean-square normalisation of every head on its own; the formula stands in kernels/head_norm.h.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// x: [rows, heads * D], possibly a view; gain: [D] of x's dtype. Writes into y, of x's shape, possibly a
// view, another buffer than x. Throws ShapeError naming what does not fit.
void head_norm(Tape& tape, Var x, Var gain, Var y, double epsilon, const std::string& name = "head_norm");

}  // namespace lethe::ops
