// y[i] = x[i], or y[i] += x[i]. The gradient of x is the gradient of y.
#include "engine/ops/copy.h"

#include "engine/backward.h"
#include "kernels/copy.h"

namespace lethe::ops {
namespace {

class Copy final : public Op {
 public:
  std::string_view name() const override { return "copy"; }

  void gradient(const Node&, GradientBuilder& builder) const override { builder.pass_through(0); }

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

void copy(Tape& tape, Var x, Output into) {
  const TensorInfo &from = tape.info(x), &to = tape.info(into.var);
  if (from.rows() != to.rows() || from.width() != to.width()) {
    throw ShapeError(tape.path("copy"), from.path + " " + text_of(from.shape) + " does not fit " + to.path +
                                            " " + text_of(to.shape));
  }
  tape.append(std::make_shared<Copy>(), {x}, {into});
}

}  // namespace lethe::ops
