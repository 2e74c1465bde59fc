// y = g * x / sqrt(mean(x^2) + epsilon), per row.
#include "engine/ops/rmsnorm.h"

#include "engine/backward.h"
#include "kernels/rmsnorm.h"

namespace lethe::ops {
namespace {

// Inputs dy, x, gain, r; output dx.
class RmsNormBackward final : public Op {
 public:
  std::string_view name() const override { return "rmsnorm_backward"; }
  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::rmsnorm_backward<T>(
          launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.in[2].as<const T>().data,
          launch.in[3].as<const compute_t<T>>().data, launch.out[0].as<T>(), launch.write(0));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::rmsnorm_backward<T>(
          launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.in[2].as<const T>().data,
          launch.in[3].as<const compute_t<T>>().data, launch.out[0].as<T>(), launch.write(0), launch.stream);
    });
  }
#endif
};

// Inputs dy, x, r; output dgain.
class RmsNormBackwardGain final : public Op {
 public:
  std::string_view name() const override { return "rmsnorm_backward_gain"; }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    const TensorInfo& x = tape.info(node.inputs[1]);
    int64_t bytes = 0;
    if (device.kind == DeviceKind::cpu) return bytes;
    dispatch_float(x.dtype, name(), [&]<class T>() {
      bytes = kernels::cuda::rmsnorm_backward_gain_workspace_bytes<T>(x.rows(), x.width());
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::rmsnorm_backward_gain<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(),
                                             launch.in[2].as<const compute_t<T>>().data,
                                             launch.out[0].as<compute_t<T>>().data, launch.write(0));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::rmsnorm_backward_gain<T>(
          launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.in[2].as<const compute_t<T>>().data,
          launch.out[0].as<compute_t<T>>().data, launch.write(0), launch.workspace, launch.stream);
    });
  }
#endif
};

class RmsNorm final : public Op {
 public:
  explicit RmsNorm(double epsilon) : epsilon_(epsilon) {}
  std::string_view name() const override { return "rmsnorm"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    const Var dy = builder.gradient(), x = builder.input(0), gain = builder.input(1), r = builder.output(1);
    if (builder.needs(1)) {
      const Output dgain = builder.target(1);
      builder.tape().append(std::make_shared<RmsNormBackwardGain>(), {dy, x, r}, {dgain}, "gain");
    }
    if (builder.needs(0)) {
      const Output dx = builder.target(0);
      builder.tape().append(std::make_shared<RmsNormBackward>(), {dy, x, gain, r}, {dx});
    }
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 4.0 * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::rmsnorm<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>().data, epsilon_,
                               launch.out[0].as<T>(), launch.out[1].as<compute_t<T>>().data);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::rmsnorm<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>().data, epsilon_,
                                launch.out[0].as<T>(), launch.out[1].as<compute_t<T>>().data, launch.stream);
    });
  }
#endif

 private:
  double epsilon_;
};

}  // namespace

Var rmsnorm(Tape& tape, Var x, Var gain, double epsilon, const std::string& name, int64_t pitch) {
  const TensorInfo in = tape.info(x), g = tape.info(gain);
  if (g.elements() != in.width() || g.dtype != in.dtype) {
    throw ShapeError(tape.path(name), "gain " + text_of(g.shape) + " of " + std::string(name_of(g.dtype)) +
                                          " does not fit x " + text_of(in.shape) + " of " +
                                          std::string(name_of(in.dtype)));
  }
  const Var y = tape.tensor(in.shape, in.dtype, name, Kind::activation, pitch);
  const Var r = tape.tensor({in.rows()}, compute_dtype(in.dtype), name + ".inverse_rms");
  tape.append(std::make_shared<RmsNorm>(epsilon), {x, gain}, {{y}, {r}}, name);
  return y;
}

}  // namespace lethe::ops
