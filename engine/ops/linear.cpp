// y = x W^T; the gradients stand in matmul.cpp.
#include "engine/ops/linear.h"

#include "engine/ops/matmul.h"

namespace lethe::ops {

Var linear(Tape& tape, Var x, Var weight, const std::string& name, int64_t pitch) {
  check_linear(tape, name, x, weight);
  const TensorInfo in = tape.info(x);
  const Var y = tape.tensor({in.rows(), tape.info(weight).shape[0]}, in.dtype, name, Kind::activation, pitch);
  tape.append(matmul(kernels::MatmulForm::nt, 1), {x, weight}, {{y}}, name);
  return y;
}

}  // namespace lethe::ops
