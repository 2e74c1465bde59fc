// z = x * y;  dx = dz * y,  dy = dz * x.
#include "engine/ops/mul.h"

#include "engine/backward.h"
#include "engine/ops/same_shape.h"
#include "kernels/swiglu.h"

namespace lethe::ops {
namespace {

class Mul final : public Op {
 public:
  std::string_view name() const override { return "mul"; }

  // The gradients are products too, so they are this operation again.
  void gradient(const Node&, GradientBuilder& builder) const override {
    for (const size_t i : {size_t{0}, size_t{1}}) {
      if (!builder.needs(i)) continue;
      const Var dz = builder.gradient(), other = builder.input(1 - i);
      const Output target = builder.target(i);
      builder.tape().append(std::make_shared<Mul>(), {dz, other}, {target});
    }
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::mul<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.out[0].as<T>(),
                           launch.write(0));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::mul<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.out[0].as<T>(),
                            launch.write(0), launch.stream);
    });
  }
#endif
};

}  // namespace

Var mul(Tape& tape, Var x, Var y, const std::string& name) {
  require_same_shape(tape, x, y, name);
  const TensorInfo in = tape.info(x);
  const Var z = tape.tensor(in.shape, in.dtype, name);
  tape.append(std::make_shared<Mul>(), {x, y}, {{z}}, name).in_place = {0, 0};
  return z;
}

}  // namespace lethe::ops
