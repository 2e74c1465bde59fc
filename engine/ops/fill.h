// y = a constant.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// Replaces what a floating tensor holds. Throws ShapeError for an integer one.
void fill(Tape& tape, Var y, double value);

}  // namespace lethe::ops
