// y = g * x / sqrt(mean(x^2) + epsilon), per row; or of the sum z = a + b, which is a result as well.
#include "engine/ops/rmsnorm.h"

#include "engine/backward.h"
#include "engine/ops/same_shape.h"
#include "kernels/rmsnorm.h"

namespace lethe::ops {
namespace {

// Inputs dy, x, gain, r; outputs dx, dgain, or the one of them that is wanted.
class RmsNormBackward final : public Op {
 public:
  RmsNormBackward(bool x, bool gain) : x_(x), gain_(gain) {}
  std::string_view name() const override { return gain_ ? "rmsnorm_backward_gain" : "rmsnorm_backward"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = (8.0 + (gain_ ? 3.0 : 0.0)) * static_cast<double>(tape.info(node.inputs[1]).elements());
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    const TensorInfo& x = tape.info(node.inputs[1]);
    int64_t bytes = 0;
    if (device.kind == DeviceKind::cpu || !gain_) return bytes;
    dispatch_float(x.dtype, name(), [&]<class T>() {
      bytes = kernels::cuda::rmsnorm_backward_workspace_bytes<T>(x.rows(), x.width());
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch(launch, [&]<class T, class G>() {
      const auto dy = launch.in[0].as<const T>(), x = launch.in[1].as<const T>();
      const auto* const r = launch.in[3].as<const compute_t<T>>().data;
      if (gain_) kernels::cpu::rmsnorm_backward_gain<T, G>(dy, x, r, dgain<G>(launch), write_dgain(launch));
      if (x_) {
        kernels::cpu::rmsnorm_backward<T>(dy, x, launch.in[2].as<const T>().data, r, launch.out[0].as<T>(),
                                          launch.write(0));
      }
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch(launch, [&]<class T, class G>() {
      kernels::cuda::rmsnorm_backward<T, G>(
          launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.in[2].as<const T>().data,
          launch.in[3].as<const compute_t<T>>().data, x_ ? launch.out[0].as<T>() : kernels::Rows<T>{},
          launch.write(0), gain_ ? dgain<G>(launch) : nullptr, write_dgain(launch), launch.workspace,
          launch.stream);
    });
  }
#endif

 private:
  // Calls body.operator()<T, G>(), G being what the gain's gradient is stored in.
  template <class Body>
  void dispatch(const Launch& launch, const Body& body) const {
    const DType x = launch.in[0].dtype, gain = gain_ ? launch.out.back().dtype : compute_dtype(x);
    if (x == DType::f64) return body.template operator()<double, double>();
    const auto narrow = [](DType dtype, const auto& inner) {
      if (dtype == DType::bf16) return inner.template operator()<bf16>();
      return inner.template operator()<float>();
    };
    narrow(x, [&]<class T>() { narrow(gain, [&]<class G>() { body.template operator()<T, G>(); }); });
  }
  template <class G>
  static G* dgain(const Launch& launch) {
    return launch.out.back().as<G>().data;
  }
  static kernels::Write write_dgain(const Launch& launch) {
    return launch.write(launch.out.size() - 1);
  }

  bool x_, gain_;
};

// Records what of dx and dgain is wanted.
void append_backward(GradientBuilder& builder, Var dy, Var x, Var gain, Var r, const Output* dx,
                     const Output* dgain) {
  std::vector<Output> outputs;
  if (dx) outputs.push_back(*dx);
  if (dgain) outputs.push_back(*dgain);
  builder.tape().append(std::make_shared<RmsNormBackward>(dx != nullptr, dgain != nullptr), {dy, x, gain, r},
                        outputs);
}

// Inputs x, gain, r; output y once more.
class RmsNormAgain final : public Op {
 public:
  std::string_view name() const override { return "rmsnorm_again"; }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::rmsnorm_again<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>().data,
                                     launch.in[2].as<const compute_t<T>>().data, launch.out[0].as<T>());
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::rmsnorm_again<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>().data,
                                      launch.in[2].as<const compute_t<T>>().data, launch.out[0].as<T>(),
                                      launch.stream);
    });
  }
#endif
};

// Inputs x, gain; outputs y, r.
class RmsNorm final : public Op {
 public:
  explicit RmsNorm(double epsilon) : epsilon_(epsilon) {}
  std::string_view name() const override { return "rmsnorm"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    const Var dy = builder.gradient(), x = builder.input(0), gain = builder.input(1), r = builder.output(1);
    Output dx, dgain;
    const bool for_x = builder.needs(0), for_gain = builder.needs(1);
    if (for_gain) dgain = builder.target(1);
    if (for_x) dx = builder.target(0);
    append_backward(builder, dy, x, gain, r, for_x ? &dx : nullptr, for_gain ? &dgain : nullptr);
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

// Inputs a, b, gain; outputs z = a + b, y = rmsnorm(z), r.
class AddRmsNormOp final : public Op {
 public:
  explicit AddRmsNormOp(double epsilon) : epsilon_(epsilon) {}
  std::string_view name() const override { return "add_rmsnorm"; }

  // The norm's share joins what z's other readers left; a and b then have all of it.
  void gradient(const Node&, GradientBuilder& builder) const override {
    const bool for_sum = builder.needs(0) || builder.needs(1), for_gain = builder.needs(2);
    if (builder.has_gradient(1)) {
      const Var dy = builder.gradient(1), z = builder.output(0), gain = builder.input(2),
                r = builder.output(2);
      Output dz, dgain;
      if (for_gain) dgain = builder.target(2);
      if (for_sum) dz = builder.output_target(0);
      append_backward(builder, dy, z, gain, r, for_sum ? &dz : nullptr, for_gain ? &dgain : nullptr);
    }
    if (!for_sum) return;
    builder.pass_through(0, 0);
    builder.pass_through(1, 0);
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 5.0 * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::add_rmsnorm<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(),
                                   launch.in[2].as<const T>().data, epsilon_, launch.out[0].as<T>(),
                                   launch.out[1].as<T>(), launch.out[2].as<compute_t<T>>().data);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::add_rmsnorm<T>(
          launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.in[2].as<const T>().data, epsilon_,
          launch.out[0].as<T>(), launch.out[1].as<T>(), launch.out[2].as<compute_t<T>>().data, launch.stream);
    });
  }
#endif

 private:
  double epsilon_;
};

void check_gain(const Tape& tape, const std::string& name, Var x, Var gain) {
  const TensorInfo &in = tape.info(x), &g = tape.info(gain);
  if (g.elements() == in.width() && g.dtype == in.dtype) return;
  throw ShapeError(tape.path(name), "gain " + text_of(g.shape) + " of " + std::string(name_of(g.dtype)) +
                                        " does not fit x " + text_of(in.shape) + " of " +
                                        std::string(name_of(in.dtype)));
}

}  // namespace

Var rmsnorm(Tape& tape, Var x, Var gain, double epsilon, const std::string& name, int64_t pitch) {
  check_gain(tape, name, x, gain);
  const TensorInfo in = tape.info(x);
  const Var y = tape.tensor(in.shape, in.dtype, name, Kind::activation, pitch);
  const Var r = tape.tensor({in.rows()}, compute_dtype(in.dtype), name + ".inverse_rms");
  Node& node = tape.append(std::make_shared<RmsNorm>(epsilon), {x, gain}, {{y}, {r}}, name);
  node.remake = {.op = std::make_shared<RmsNormAgain>(), .inputs = {x, gain, r}, .output = 0};
  return y;
}

AddRmsNorm add_rmsnorm(Tape& tape, Var x, Var y, Var gain, double epsilon, const std::string& sum_name,
                       const std::string& name, int64_t pitch) {
  require_same_shape(tape, x, y, name);
  check_gain(tape, name, x, gain);
  const TensorInfo in = tape.info(x);
  const AddRmsNorm made{.sum = tape.tensor(in.shape, in.dtype, sum_name),
                        .norm = tape.tensor(in.shape, in.dtype, name, Kind::activation, pitch)};
  const Var r = tape.tensor({in.rows()}, compute_dtype(in.dtype), name + ".inverse_rms");
  Node& node = tape.append(std::make_shared<AddRmsNormOp>(epsilon), {x, y, gain},
                           {{made.sum}, {made.norm}, {r}}, name);
  // In a residual block y is a layer's output that nothing else reads; x lives on.
  node.in_place = {0, 1};
  node.remake = {.op = std::make_shared<RmsNormAgain>(), .inputs = {made.sum, gain, r}, .output = 1};
  return made;
}

}  // namespace lethe::ops
