// y[i] = x[i] in y's dtype;  dx = dy in x's dtype.
#include "engine/ops/cast.h"

#include "engine/backward.h"
#include "engine/ops/copy.h"
#include "engine/ops/same_shape.h"
#include "kernels/copy.h"

namespace lethe::ops {
namespace {

class Cast final : public Op {
 public:
  std::string_view name() const override { return "cast"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    if (!builder.needs(0)) return;
    const Var dy = builder.gradient();
    copy(builder.tape(), dy, builder.target(0));
  }

  void run(const CpuLaunch& launch) const override {
    const Buffer &x = launch.in[0], &y = launch.out[0];
    dispatch_float(x.dtype, name(), [&]<class X>() {
      dispatch_float(y.dtype, name(),
                     [&]<class Y>() { kernels::cpu::copy(x.as<const X>(), y.as<Y>(), launch.write(0)); });
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    const Buffer &x = launch.in[0], &y = launch.out[0];
    dispatch_float(x.dtype, name(), [&]<class X>() {
      dispatch_float(y.dtype, name(), [&]<class Y>() {
        kernels::cuda::copy(x.as<const X>(), y.as<Y>(), launch.write(0), launch.stream);
      });
    });
  }
#endif
};

}  // namespace

Var cast(Tape& tape, Var x, DType dtype, const std::string& name) {
  require_floating(tape, x, name);
  const TensorInfo in = tape.info(x);
  if (!is_float(dtype)) {
    throw ShapeError(tape.path(name), in.path + " cannot be cast to " + std::string(name_of(dtype)));
  }
  if (dtype == in.dtype) return x;
  const Var y = tape.tensor(in.shape, dtype, name);
  tape.append(std::make_shared<Cast>(), {x}, {{y}}, name);
  return y;
}

}  // namespace lethe::ops
