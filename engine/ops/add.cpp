// z = x + y. The gradient of either is the gradient of z.
#include "engine/ops/add.h"

#include "engine/backward.h"
#include "engine/ops/same_shape.h"
#include "kernels/add.h"

namespace lethe::ops {
namespace {

class Add final : public Op {
 public:
  std::string_view name() const override { return "add"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    builder.pass_through(0);
    builder.pass_through(1);
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::add<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.out[0].as<T>());
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::add<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.out[0].as<T>(),
                            launch.stream);
    });
  }
#endif
};

}  // namespace

Var add(Tape& tape, Var x, Var y, const std::string& name) {
  require_same_shape(tape, x, y, name);
  const TensorInfo in = tape.info(x);
  const Var z = tape.tensor(in.shape, in.dtype, name, Kind::activation, tape.info(y).pitch);
  // In a residual block y is a layer's output that nothing else reads; x lives on.
  tape.append(std::make_shared<Add>(), {x, y}, {{z}}, name).in_place = {0, 1};
  return z;
}

}  // namespace lethe::ops
