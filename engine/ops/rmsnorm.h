// Root-mean-square normalisation with a gain; the formula stands in kernels/rmsnorm.h.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// x: [rows, C]; gain: [C] of x's dtype. Returns [rows, C], with rows `pitch` elements apart; 0: C. Throws
// ShapeError when the widths or dtypes differ.
Var rmsnorm(Tape& tape, Var x, Var gain, double epsilon, const std::string& name = "norm", int64_t pitch = 0);

struct AddRmsNorm {
  Var sum;   // x + y, dense
  Var norm;  // of the sum, with the pitch that was asked for
};

// The residual addition and the norm of its sum in one pass. x, y: [rows, C], the same dtype; y's memory may
// become the sum's. Both results are recorded under the node's own name, the sum as `sum_name`.
AddRmsNorm add_rmsnorm(Tape& tape, Var x, Var y, Var gain, double epsilon,
                       const std::string& sum_name = "sum", const std::string& name = "norm",
                       int64_t pitch = 0);

}  // namespace lethe::ops
