// y += scale * u W^T. The gradient of y passes by unchanged to the node that wrote y first; the gradients of
// u and W stand in matmul.cpp.
#include "engine/ops/add_linear.h"

#include "engine/ops/matmul.h"

namespace lethe::ops {

void add_linear(Tape& tape, Var y, Var u, Var weight, double scale, const std::string& name) {
  check_linear(tape, name, u, weight);
  const TensorInfo &out = tape.info(y), &in = tape.info(u), &w = tape.info(weight);
  if (out.rows() != in.rows() || out.width() != w.shape[0] ||
      compute_dtype(out.dtype) != compute_dtype(in.dtype)) {
    throw ShapeError(tape.path(name), "the product " + text_of({in.rows(), w.shape[0]}) + " does not fit " +
                                          out.path + " " + text_of(out.shape));
  }
  tape.append(matmul(kernels::MatmulForm::nt, scale), {u, weight}, {{y, Access::accumulate}}, name);
}

}  // namespace lethe::ops
