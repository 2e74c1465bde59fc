// y = x W^T.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// x: [rows, in]; weight: [out, in], of x's dtype or, where x is float32 or bfloat16, of either. Returns
// [rows, out] of x's dtype, whose rows lie `pitch` elements apart (0: the width), so that further columns can
// stand beside them. Throws ShapeError naming both when they do not fit, and for a pitch below out.
Var linear(Tape& tape, Var x, Var weight, const std::string& name = "linear", int64_t pitch = 0);

}  // namespace lethe::ops
