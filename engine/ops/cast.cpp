// y[i] = x[i] in y's dtype;  dx = dy in x's dtype: a copy that rounds.
#include "engine/ops/cast.h"

#include "engine/ops/copy.h"
#include "engine/ops/same_shape.h"

namespace lethe::ops {
Var cast(Tape& tape, Var x, DType dtype, const std::string& name) {
  require_floating(tape, x, name);
  const TensorInfo in = tape.info(x);
  if (!is_float(dtype)) {
    throw ShapeError(tape.path(name), in.path + " cannot be cast to " + std::string(name_of(dtype)));
  }
  if (dtype == in.dtype) return x;
  const Var y = tape.tensor(in.shape, dtype, name);
  const Tape::Scope scope(tape, name);
  copy(tape, x, {y});
  return y;
}

}  // namespace lethe::ops
