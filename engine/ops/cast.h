// y = x in another floating dtype, rounded once.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// Returns x itself when it has the dtype already. Throws ShapeError when either is an integer type.
Var cast(Tape& tape, Var x, DType dtype, const std::string& name = "cast");

}  // namespace lethe::ops
