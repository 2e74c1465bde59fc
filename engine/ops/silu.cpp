// y = x * s(x), s(x) = 1 / (1 + e^-x);  dx = dy * s(x) * (1 + x * (1 - s(x))).
#include "engine/ops/silu.h"

#include "engine/backward.h"
#include "engine/ops/same_shape.h"
#include "kernels/swiglu.h"

namespace lethe::ops {
namespace {

// Inputs dy, x; output dx.
class SiluBackward final : public Op {
 public:
  std::string_view name() const override { return "silu_backward"; }
  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::silu_backward<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(),
                                     launch.out[0].as<T>(), launch.write(0));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::silu_backward<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(),
                                      launch.out[0].as<T>(), launch.write(0), launch.stream);
    });
  }
#endif
};

class Silu final : public Op {
 public:
  std::string_view name() const override { return "silu"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    if (!builder.needs(0)) return;
    const Var dy = builder.gradient(), x = builder.input(0);
    const Output dx = builder.target(0);
    builder.tape().append(std::make_shared<SiluBackward>(), {dy, x}, {dx});
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 4.0 * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::silu<T>(launch.in[0].as<const T>(), launch.out[0].as<T>());
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::silu<T>(launch.in[0].as<const T>(), launch.out[0].as<T>(), launch.stream);
    });
  }
#endif
};

}  // namespace

Var silu(Tape& tape, Var x, const std::string& name) {
  require_floating(tape, x, name);
  const TensorInfo in = tape.info(x);
  const Var y = tape.tensor(in.shape, in.dtype, name);
  tape.append(std::make_shared<Silu>(), {x}, {{y}}, name).in_place = {0, 0};
  return y;
}

}  // namespace lethe::ops
