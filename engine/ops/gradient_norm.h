// The global L2 norm of all gradients, and the factor that clips it (Pascanu, Mikolov & Bengio, "On the
// difficulty of training recurrent neural networks", 2013; the factor as torch's clip_grad_norm_ has it).
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// into = sum of x^2, in double and in an order fixed by the shape; into: one float64. Throws ShapeError.
void squared_norm(Tape& tape, Var x, Var into, const std::string& name);

// norm = sqrt(sum of partials, in order);
// scale = min(1, max_norm / (norm + 1e-6)), 1 when max_norm is 0, NaN when the norm is not finite: the
// updates then change nothing. partials: float64 [n]; norm, scale: one float64 each. Throws ShapeError for
// other dtypes, ConfigError for a negative max_norm.
void finish_norm(Tape& tape, Var partials, double max_norm, Var norm, Var scale,
                 const std::string& name = "gradient_norm");

}  // namespace lethe::ops
