// y = silu(gate) * up.
#include "engine/ops/swiglu.h"

#include "engine/backward.h"
#include "engine/ops/same_shape.h"
#include "kernels/swiglu.h"

namespace lethe::ops {
namespace {

// Inputs dy, gate, up; outputs dgate, dup, or the one of them that is wanted.
class SwigluBackward final : public Op {
 public:
  SwigluBackward(bool gate, bool up) : gate_(gate), up_(up) {}
  std::string_view name() const override { return "swiglu_backward"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 8.0 * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const size_t last = launch.out.size() - 1;
      kernels::cpu::swiglu_backward<T>(
          launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.in[2].as<const T>(),
          gate_ ? launch.out[0].as<T>() : kernels::Rows<T>{}, launch.write(0),
          up_ ? launch.out[last].as<T>() : kernels::Rows<T>{}, launch.write(last));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const size_t last = launch.out.size() - 1;
      kernels::cuda::swiglu_backward<T>(
          launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.in[2].as<const T>(),
          gate_ ? launch.out[0].as<T>() : kernels::Rows<T>{}, launch.write(0),
          up_ ? launch.out[last].as<T>() : kernels::Rows<T>{}, launch.write(last), launch.stream);
    });
  }
#endif

 private:
  bool gate_, up_;
};

class Swiglu final : public Op {
 public:
  std::string_view name() const override { return "swiglu"; }

  void gradient(const Node& node, GradientBuilder& builder) const override {
    const bool for_gate = builder.needs(0), for_up = builder.needs(1);
    const Var dy = builder.gradient(), gate = builder.input(0), up = builder.input(1);
    const auto record = [&](bool to_gate, bool to_up) {
      std::vector<Output> outputs;
      if (to_gate) outputs.push_back(builder.target(0));
      if (to_up) outputs.push_back(builder.target(1));
      builder.tape().append(std::make_shared<SwigluBackward>(to_gate, to_up), {dy, gate, up}, outputs);
    };
    // swiglu(x, x): both gradients go to one place, one after the other.
    const bool one_target = node.inputs[0] == node.inputs[1];
    if (for_gate && for_up && !one_target) return record(true, true);
    if (for_gate) record(true, false);
    if (for_up) record(false, true);
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 5.0 * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::swiglu<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.out[0].as<T>());
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::swiglu<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.out[0].as<T>(),
                               launch.stream);
    });
  }
#endif
};

}  // namespace

Var swiglu(Tape& tape, Var gate, Var up, const std::string& name, int64_t pitch) {
  require_same_shape(tape, gate, up, name);
  const TensorInfo in = tape.info(gate);
  const Var y = tape.tensor(in.shape, in.dtype, name, Kind::activation, pitch);
  tape.append(std::make_shared<Swiglu>(), {gate, up}, {{y}}, name);
  return y;
}

}  // namespace lethe::ops
