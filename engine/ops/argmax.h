// Where each row is largest.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// x: [rows, width]. Returns int32 [rows], as kernels/argmax.h has it. A place has no gradient. Throws
// ShapeError for what is no matrix of numbers.
Var argmax(Tape& tape, Var x, const std::string& name = "argmax");

}  // namespace lethe::ops
