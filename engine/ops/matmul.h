// The matrix product behind linear and add_linear, and both of their gradients.
#pragma once

#include <memory>
#include <string>

#include "engine/tape.h"
#include "kernels/matmul.h"

namespace lethe::ops {

// C = alpha * op(A) op(B) for inputs {A, B} and output {C}, in a form of kernels/matmul.h. Only the form nt
// has a gradient rule. Dtypes: all float64, or any mix of float32 and bfloat16.
std::shared_ptr<const Op> matmul(kernels::MatmulForm form, double alpha);

// Throws ShapeError unless x [rows, in] fits weight [out, in].
void check_linear(const Tape& tape, const std::string& name, Var x, Var weight);

}  // namespace lethe::ops
