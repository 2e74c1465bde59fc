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

// Calls body.operator()<S>() for the type of the seed.
template <class Body>
void dispatch_seed(DType dtype, const Body& body) {
  if (dtype == DType::f64) return body.template operator()<double>();
  body.template operator()<float>();
}

// Inputs logits, labels, seed; outputs losses, logits once more, which then hold their gradient.
class CrossEntropyTraining final : public Op {
 public:
  std::string_view name() const override { return "cross_entropy_training"; }

  void gradient(const Node& node, GradientBuilder& builder) const override {
    if (!builder.needs(0)) return;
    const Tape& tape = builder.tape();
    const std::vector<int32_t>& writers = tape.writers(tape.root(builder.gradient(0)));
    const Node* const source = writers.size() == 1 ? &tape.nodes()[static_cast<size_t>(writers[0])] : nullptr;
    if (!source || source->op->name() != "sum_backward" || source->inputs[0] != node.inputs[2]) {
      throw ShapeError(node.path, "its losses are not just summed into a loss with the seed " +
                                      tape.info(node.inputs[2]).path);
    }
    builder.gradient_lies_in(0, node.outputs[1].var);
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    const TensorInfo& x = tape.info(node.inputs[0]);
    const auto elements = static_cast<double>(x.elements());
    return {.flops = 6 * elements, .bytes = 2 * elements * static_cast<double>(size_of(x.dtype))};
  }

  void run(const CpuLaunch& launch) const override {
    dispatch(launch, [&]<class T, class S>() {
      kernels::cpu::cross_entropy_training<T, S>(launch.out[1].as<T>(), launch.in[1].as<const int32_t>().data,
                                                 launch.in[2].as<const S>().data,
                                                 launch.out[0].as<compute_t<T>>().data);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch(launch, [&]<class T, class S>() {
      kernels::cuda::cross_entropy_training<T, S>(
          launch.out[1].as<T>(), launch.in[1].as<const int32_t>().data, launch.in[2].as<const S>().data,
          launch.out[0].as<compute_t<T>>().data, launch.stream);
    });
  }
#endif

 private:
  template <class Body>
  void dispatch(const Launch& launch, const Body& body) const {
    dispatch_float(launch.out[1].dtype, name(), [&]<class T>() {
      dispatch_seed(launch.in[2].dtype, [&]<class S>() { body.template operator()<T, S>(); });
    });
  }
};

}  // namespace

Var cross_entropy_training(Tape& tape, Var logits, Var labels, Var seed, const std::string& name) {
  check_labels(tape, name, logits, labels);
  const TensorInfo x = tape.info(logits), s = tape.info(seed);
  if (s.elements() != 1 || (s.dtype != DType::f64 && s.dtype != DType::f32)) {
    throw ShapeError(tape.path(name), "the seed " + s.path + " " + text_of(s.shape) + " of " +
                                          std::string(name_of(s.dtype)) + " must be one float64 or float32");
  }
  if (x.persistent >= 0 || x.parent.valid())
    throw ShapeError(tape.path(name), x.path + " is not the program's own: its memory cannot be taken");
  const Var losses = tape.tensor({x.rows()}, compute_dtype(x.dtype), name);
  tape.append(std::make_shared<CrossEntropyTraining>(), {logits, labels, seed},
              {{losses}, {logits, Access::update}}, name);
  return losses;
}

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
