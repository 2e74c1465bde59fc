#include "engine/ops/same_shape.h"

#include <fmt/format.h>

namespace lethe::ops {

void require_same_shape(const Tape& tape, Var x, Var y, const std::string& name) {
  require_floating(tape, x, name);
  const TensorInfo &a = tape.info(x), &b = tape.info(y);
  if (a.rows() == b.rows() && a.width() == b.width() && a.dtype == b.dtype) return;
  throw ShapeError(tape.path(name),
                   fmt::format("{} {} of {} does not fit {} {} of {}", a.path, text_of(a.shape),
                               name_of(a.dtype), b.path, text_of(b.shape), name_of(b.dtype)));
}

void require_floating(const Tape& tape, Var x, const std::string& name) {
  const TensorInfo& info = tape.info(x);
  if (is_float(info.dtype)) return;
  throw ShapeError(tape.path(name), fmt::format("{} {} must be floating, is {}", info.path,
                                                text_of(info.shape), name_of(info.dtype)));
}

}  // namespace lethe::ops
