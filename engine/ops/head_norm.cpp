// y = g * x / sqrt(mean(x^2) + epsilon), the mean over each head of each row.
#include "engine/ops/head_norm.h"

#include "engine/backward.h"
#include "kernels/head_norm.h"

namespace lethe::ops {
namespace {

// Inputs dy, x, gain, r; outputs dx, dgain, or the one of them that is wanted.
class HeadNormBackward final : public Op {
 public:
  HeadNormBackward(int64_t head_dim, bool x, bool gain) : head_dim_(head_dim), x_(x), gain_(gain) {}
  std::string_view name() const override { return "head_norm_backward"; }

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
      bytes =
          kernels::cuda::head_norm_backward_workspace_bytes<T>(x.rows(), x.width() / head_dim_, head_dim_);
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch(launch, [&]<class T, class G>() {
      const auto dy = launch.in[0].as<const T>(), x = launch.in[1].as<const T>();
      const auto* const r = launch.in[3].as<const compute_t<T>>().data;
      if (gain_) {
        kernels::cpu::head_norm_backward_gain<T, G>(dy, x, head_dim_, r, launch.out.back().as<G>().data,
                                                    launch.write(launch.out.size() - 1));
      }
      if (x_) {
        kernels::cpu::head_norm_backward<T>(dy, x, launch.in[2].as<const T>().data, head_dim_, r,
                                            launch.out[0].as<T>(), launch.write(0));
      }
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch(launch, [&]<class T, class G>() {
      kernels::cuda::head_norm_backward<T, G>(
          launch.in[0].as<const T>(), launch.in[1].as<const T>(), launch.in[2].as<const T>().data, head_dim_,
          launch.in[3].as<const compute_t<T>>().data, x_ ? launch.out[0].as<T>() : kernels::Rows<T>{},
          launch.write(0), gain_ ? launch.out.back().as<G>().data : nullptr,
          launch.write(launch.out.size() - 1), launch.workspace, launch.stream);
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

  int64_t head_dim_;
  bool x_, gain_;
};

// Inputs x, gain; outputs y, r.
class HeadNorm final : public Op {
 public:
  HeadNorm(int64_t head_dim, double epsilon) : head_dim_(head_dim), epsilon_(epsilon) {}
  std::string_view name() const override { return "head_norm"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    const bool for_x = builder.needs(0), for_gain = builder.needs(1);
    const Var dy = builder.gradient(), x = builder.input(0), gain = builder.input(1), r = builder.output(1);
    std::vector<Output> outputs;
    if (for_x) outputs.push_back(builder.target(0));
    if (for_gain) outputs.push_back(builder.target(1));
    builder.tape().append(std::make_shared<HeadNormBackward>(head_dim_, for_x, for_gain), {dy, x, gain, r},
                          outputs);
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 4.0 * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::head_norm<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>().data, head_dim_,
                                 epsilon_, launch.out[0].as<T>(), launch.out[1].as<compute_t<T>>().data);
    });
  }

#if LETHE_WITH_CUDA
  void prepare(const CudaLaunch&) const override {
    if (head_dim_ <= kernels::cuda::kMostNormedHead) return;
    throw DeviceError(std::string(name()), "heads of " + std::to_string(head_dim_) +
                                               " are wider than the CUDA kernel's " +
                                               std::to_string(kernels::cuda::kMostNormedHead));
  }
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::head_norm<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>().data, head_dim_,
                                  epsilon_, launch.out[0].as<T>(), launch.out[1].as<compute_t<T>>().data,
                                  launch.stream);
    });
  }
#endif

 private:
  int64_t head_dim_;
  double epsilon_;
};

}  // namespace

void head_norm(Tape& tape, Var x, Var gain, Var y, double epsilon, const std::string& name) {
  const TensorInfo in = tape.info(x), g = tape.info(gain), out = tape.info(y);
  const int64_t head_dim = g.elements();
  if (head_dim < 1 || in.width() % head_dim != 0 || g.dtype != in.dtype || out.dtype != in.dtype ||
      out.rows() != in.rows() || out.width() != in.width() || tape.root(x) == tape.root(y)) {
    throw ShapeError(tape.path(name), "gain " + text_of(g.shape) + " of " + std::string(name_of(g.dtype)) +
                                          ", x " + text_of(in.shape) + " of " +
                                          std::string(name_of(in.dtype)) + " and y " + text_of(out.shape) +
                                          " do not make a norm of heads");
  }
  const Var r =
      tape.tensor({in.width() / head_dim, in.rows()}, compute_dtype(in.dtype), name + ".inverse_rms");
  tape.append(std::make_shared<HeadNorm>(head_dim, epsilon), {x, gain}, {{y}, {r}}, name);
}

}  // namespace lethe::ops
