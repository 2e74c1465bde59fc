// y = alpha x W^T;  dx = alpha dy W,  dW = alpha dy^T x.
#include "engine/ops/matmul.h"

#include "engine/backward.h"

namespace lethe::ops {
namespace {

using kernels::MatmulForm;

// body.operator()<A, B, C>() for the storage types that may be multiplied.
template <class Body>
void dispatch(DType a, DType b, DType c, const Body& body) {
  if (c == DType::f64) return body.template operator()<double, double, double>();
  const auto narrow = [](DType dtype, const auto& inner) {
    if (dtype == DType::bf16) return inner.template operator()<bf16>();
    return inner.template operator()<float>();
  };
  narrow(a, [&]<class A>() {
    narrow(b, [&]<class B>() { narrow(c, [&]<class C>() { body.template operator()<A, B, C>(); }); });
  });
}

class Matmul final : public Op {
 public:
  Matmul(MatmulForm form, double alpha) : form_(form), alpha_(alpha) {}

  std::string_view name() const override {
    switch (form_) {
      case MatmulForm::nt:
        return "matmul_nt";
      case MatmulForm::nn:
        return "matmul_nn";
      case MatmulForm::tn:
        return "matmul_tn";
    }
    return "matmul";
  }

  void gradient(const Node& node, GradientBuilder& builder) const override {
    if (form_ != MatmulForm::nt) {
      throw ShapeError(node.path, "only the product with a transposed weight can be differentiated");
    }
    const Var dy = builder.gradient();
    if (builder.needs(0)) {
      const Var weight = builder.input(1);
      builder.tape().append(matmul(MatmulForm::nn, alpha_), {dy, weight}, {builder.target(0)}, "dx");
    }
    if (builder.needs(1)) {
      const Var x = builder.input(0);
      builder.tape().append(matmul(MatmulForm::tn, alpha_), {dy, x}, {builder.target(1)}, "dweight");
    }
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    const Sizes s = sizes(node, tape);
    cost.flops = 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    const Sizes s = sizes(node, tape);
    int64_t bytes = 0;
    dispatch(tape.info(node.inputs[0]).dtype, tape.info(node.inputs[1]).dtype,
             tape.info(node.outputs[0].var).dtype, [&]<class A, class B, class C>() {
               bytes = device.kind == DeviceKind::cuda
                           ? kernels::cuda::matmul_workspace_bytes<A, B, C>(s.m, s.n, s.k)
                           : kernels::cpu::matmul_workspace_bytes<A, B, C>(s.m, s.n, s.k, device.threads);
             });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    const Buffer &a = launch.in[0], &b = launch.in[1], &c = launch.out[0];
    dispatch(a.dtype, b.dtype, c.dtype, [&]<class A, class B, class C>() {
      kernels::cpu::matmul<A, B, C>(form_, alpha_, a.as<const A>(), b.as<const B>(), c.as<C>(),
                                    launch.write(0), launch.workspace);
    });
  }

#if LETHE_WITH_CUDA
  void prepare(const CudaLaunch& launch) const override {
    const Buffer &a = launch.in[0], &b = launch.in[1], &c = launch.out[0];
    dispatch(a.dtype, b.dtype, c.dtype, [&]<class A, class B, class C>() {
      kernels::cuda::prepare_matmul<A, B, C>(*launch.matmuls, form_, a.as<const A>(), b.as<const B>(),
                                             c.as<C>(), launch.write(0), launch.workspace,
                                             launch.workspace_bytes);
    });
  }
  void run(const CudaLaunch& launch) const override {
    const Buffer &a = launch.in[0], &b = launch.in[1], &c = launch.out[0];
    dispatch(a.dtype, b.dtype, c.dtype, [&]<class A, class B, class C>() {
      kernels::cuda::matmul<A, B, C>(*launch.matmuls, form_, alpha_, a.as<const A>(), b.as<const B>(),
                                     c.as<C>(), launch.write(0), launch.workspace, launch.workspace_bytes,
                                     launch.stream);
    });
  }
#endif

 private:
  struct Sizes {
    int64_t m, n, k;
  };
  Sizes sizes(const Node& node, const Tape& tape) const {
    const TensorInfo &a = tape.info(node.inputs[0]), &c = tape.info(node.outputs[0].var);
    return {c.rows(), c.width(), form_ == MatmulForm::tn ? a.rows() : a.width()};
  }

  MatmulForm form_;
  double alpha_;
};

}  // namespace

std::shared_ptr<const Op> matmul(MatmulForm form, double alpha) {
  return std::make_shared<Matmul>(form, alpha);
}

void check_linear(const Tape& tape, const std::string& name, Var x, Var weight) {
  const TensorInfo &in = tape.info(x), &w = tape.info(weight);
  const auto text = [](const TensorInfo& t) {
    return t.path + " " + text_of(t.shape) + " of " + std::string(name_of(t.dtype));
  };
  if (w.shape.size() != 2 || w.width() != in.width() || !is_float(in.dtype) || !is_float(w.dtype) ||
      compute_dtype(in.dtype) != compute_dtype(w.dtype)) {
    throw ShapeError(tape.path(name), "weight " + text(w) + " does not fit x " + text(in));
  }
}

}  // namespace lethe::ops
