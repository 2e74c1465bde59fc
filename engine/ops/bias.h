// y += b in place, b the same for all rows: the bias of a linear map.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// y: [rows, C], possibly a view, written before and read by no node yet; bias: C elements in one row, of y's
// dtype. Throws ShapeError when they do not fit.
void add_bias(Tape& tape, Var y, Var bias, const std::string& name = "bias");

}  // namespace lethe::ops
