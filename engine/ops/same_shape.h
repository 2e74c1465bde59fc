// The check that element-wise operations share.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// Throws ShapeError at `name` with both shapes and dtypes unless x and y agree in rows, width and dtype and
// are floating.
void require_same_shape(const Tape& tape, Var x, Var y, const std::string& name);

// Throws ShapeError unless x is floating.
void require_floating(const Tape& tape, Var x, const std::string& name);

}  // namespace lethe::ops
