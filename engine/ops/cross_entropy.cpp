// loss = lse - x_t;  dx_j = dloss * (exp(x_j - lse) - [j == t]), which may take the logits' memory.
#include "engine/ops/cross_entropy.h"

#include "engine/backward.h"
#include "kernels/cross_entropy.h"

namespace lethe::ops {
namespace {

// Inputs dlosses, logits, labels, lse; output dlogits.
class CrossEntropyBackward final : public Op {
 public:
  std::string_view name() const override { return "cross_entropy_backward"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 3.0 * static_cast<double>(tape.info(node.inputs[1]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[1].dtype, name(), [&]<class T>() {
      using C = compute_t<T>;
      kernels::cpu::cross_entropy_backward<T>(
          launch.in[1].as<const T>(), launch.in[2].as<const int32_t>().data, launch.in[3].as<const C>().data,
          launch.in[0].as<const C>().data, launch.out[0].as<T>(), launch.write(0));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[1].dtype, name(), [&]<class T>() {
      using C = compute_t<T>;
      kernels::cuda::cross_entropy_backward<T>(
          launch.in[1].as<const T>(), launch.in[2].as<const int32_t>().data, launch.in[3].as<const C>().data,
          launch.in[0].as<const C>().data, launch.out[0].as<T>(), launch.write(0), launch.stream);
    });
  }
#endif
};

// Inputs logits, labels; outputs losses, lse.
class CrossEntropyForward final : public Op {
 public:
  std::string_view name() const override { return "cross_entropy"; }

  void gradient(const Node& node, GradientBuilder& builder) const override {
    if (builder.has_gradient(1)) throw ShapeError(node.path, "the log-sum-exp passes no gradient on");
    if (!builder.needs(0)) return;
    const Var dlosses = builder.gradient(), logits = builder.input(0), labels = builder.input(1),
              lse = builder.output(1);
    const Output dlogits = builder.target(0);
    Node& made = builder.tape().append(std::make_shared<CrossEntropyBackward>(),
                                       {dlosses, logits, labels, lse}, {dlogits});
    if (dlogits.access == Access::overwrite) made.in_place = {0, 1};
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 3.0 * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      using C = compute_t<T>;
      kernels::cpu::cross_entropy<T>(launch.in[0].as<const T>(), launch.in[1].as<const int32_t>().data,
                                     launch.out[0].as<C>().data, launch.out[1].as<C>().data);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      using C = compute_t<T>;
      kernels::cuda::cross_entropy<T>(launch.in[0].as<const T>(), launch.in[1].as<const int32_t>().data,
                                      launch.out[0].as<C>().data, launch.out[1].as<C>().data, launch.stream);
    });
  }
#endif
};

}  // namespace

CrossEntropy cross_entropy(Tape& tape, Var logits, Var labels, const std::string& name) {
  check_labels(tape, name, logits, labels);
  const TensorInfo x = tape.info(logits);
  const CrossEntropy made{
      .losses = tape.tensor({x.rows()}, compute_dtype(x.dtype), name),
      .log_sum_exp = tape.tensor({x.rows()}, compute_dtype(x.dtype), name + ".log_sum_exp")};
  tape.append(std::make_shared<CrossEntropyForward>(), {logits, labels}, {{made.losses}, {made.log_sum_exp}},
              name);
  return made;
}

void check_labels(const Tape& tape, const std::string& name, Var logits, Var labels) {
  const TensorInfo &x = tape.info(logits), &l = tape.info(labels);
  if (is_float(x.dtype) && l.dtype == DType::i32 && l.elements() == x.rows()) return;
  throw ShapeError(tape.path(name), "labels " + text_of(l.shape) + " of " + std::string(name_of(l.dtype)) +
                                        " do not fit logits " + text_of(x.shape) + " of " +
                                        std::string(name_of(x.dtype)));
}

}  // namespace lethe::ops
