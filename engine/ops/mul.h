// z = x * y, element by element.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// x, y: the same shape and dtype; returns it too. Throws ShapeError when they differ.
Var mul(Tape& tape, Var x, Var y, const std::string& name = "mul");

}  // namespace lethe::ops
