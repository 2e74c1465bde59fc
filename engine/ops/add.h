// z = x + y, element by element: the residual stream.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// x, y: the same shape and dtype; returns it too. Throws ShapeError when they differ.
Var add(Tape& tape, Var x, Var y, const std::string& name = "add");

}  // namespace lethe::ops
