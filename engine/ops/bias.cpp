// y += b. The gradient of y passes by unchanged to the node that wrote y first; that of b is its sum over the
// rows.
#include "engine/ops/bias.h"

#include "engine/backward.h"
#include "kernels/bias.h"

namespace lethe::ops {
namespace {

// Input dy; output db.
class BiasGradient final : public Op {
 public:
  std::string_view name() const override { return "bias_gradient"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    const TensorInfo& dy = tape.info(node.inputs[0]);
    int64_t bytes = 0;
    if (device.kind == DeviceKind::cpu) return bytes;
    dispatch_float(dy.dtype, name(), [&]<class T>() {
      bytes = kernels::cuda::bias_gradient_workspace_bytes<T>(dy.rows(), dy.width());
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch(launch, [&]<class T, class G>() {
      kernels::cpu::bias_gradient<T, G>(launch.in[0].as<const T>(), launch.out[0].as<G>().data,
                                        launch.write(0));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch(launch, [&]<class T, class G>() {
      kernels::cuda::bias_gradient<T, G>(launch.in[0].as<const T>(), launch.out[0].as<G>().data,
                                         launch.write(0), launch.workspace, launch.stream);
    });
  }
#endif

 private:
  // Calls body.operator()<T, G>(), G being what the gradient is stored in.
  template <class Body>
  static void dispatch(const Launch& launch, const Body& body) {
    if (launch.in[0].dtype == DType::f64) return body.template operator()<double, double>();
    const auto narrow = [](DType dtype, const auto& inner) {
      if (dtype == DType::bf16) return inner.template operator()<bf16>();
      return inner.template operator()<float>();
    };
    narrow(launch.in[0].dtype, [&]<class T>() {
      narrow(launch.out[0].dtype, [&]<class G>() { body.template operator()<T, G>(); });
    });
  }
};

// Input bias; output y again.
class AddBias final : public Op {
 public:
  std::string_view name() const override { return "add_bias"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    if (!builder.needs(0)) return;
    const Var dy = builder.gradient();
    builder.tape().append(std::make_shared<BiasGradient>(), {dy}, {builder.target(0)}, "dbias");
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
      kernels::cpu::add_bias<T>(launch.in[0].as<const T>().data, launch.out[0].as<T>());
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
      kernels::cuda::add_bias<T>(launch.in[0].as<const T>().data, launch.out[0].as<T>(), launch.stream);
    });
  }
#endif
};

}  // namespace

void add_bias(Tape& tape, Var y, Var bias, const std::string& name) {
  const TensorInfo &out = tape.info(y), &b = tape.info(bias);
  if (b.rows() != 1 || b.width() != out.width() || b.dtype != out.dtype || !is_float(b.dtype)) {
    throw ShapeError(tape.path(name), "bias " + text_of(b.shape) + " of " + std::string(name_of(b.dtype)) +
                                          " does not fit " + out.path + " " + text_of(out.shape) + " of " +
                                          std::string(name_of(out.dtype)));
  }
  tape.append(std::make_shared<AddBias>(), {bias}, {{y, Access::accumulate}}, name);
}

}  // namespace lethe::ops
