// The sum of all elements.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// Adds the sum of x to `into` (one element, float64 or float32) or replaces it; summed in double, in an order
// fixed by the shape. Throws ShapeError for anything else.
void sum(Tape& tape, Var x, Output into, const std::string& name = "sum");

}  // namespace lethe::ops
