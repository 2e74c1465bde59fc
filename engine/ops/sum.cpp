// s = sum of x_i;  dx_i = ds.
#include "engine/ops/sum.h"

#include "engine/backward.h"
#include "engine/ops/same_shape.h"
#include "kernels/fill.h"
#include "kernels/reduce.h"

namespace lethe::ops {
namespace {

// Calls body.operator()<S>() for the type of a scalar, double or float.
template <class Body>
void dispatch_scalar(DType dtype, const Body& body) {
  if (dtype == DType::f64) return body.template operator()<double>();
  body.template operator()<float>();
}

// Input ds (one element); output dx.
class SumBackward final : public Op {
 public:
  std::string_view name() const override { return "sum_backward"; }
  void run(const CpuLaunch& launch) const override {
    dispatch_scalar(launch.in[0].dtype, [&]<class S>() {
      dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
        kernels::cpu::broadcast<T, S>(&launch.in[0].scalar<const S>(), launch.out[0].as<T>(),
                                      launch.write(0));
      });
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_scalar(launch.in[0].dtype, [&]<class S>() {
      dispatch_float(launch.out[0].dtype, name(), [&]<class T>() {
        kernels::cuda::broadcast<T, S>(launch.in[0].as<const S>().data, launch.out[0].as<T>(),
                                       launch.write(0), launch.stream);
      });
    });
  }
#endif
};

class Sum final : public Op {
 public:
  std::string_view name() const override { return "sum"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    if (!builder.needs(0)) return;
    const Var ds = builder.gradient();
    const Output dx = builder.target(0);
    builder.tape().append(std::make_shared<SumBackward>(), {ds}, {dx});
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    const TensorInfo& x = tape.info(node.inputs[0]);
    const bool cuda = device.kind == DeviceKind::cuda;
    return (cuda ? kernels::cuda::reduction_pieces(x.rows(), x.width())
                 : kernels::cpu::reduction_pieces(x.rows(), x.width())) *
           size_of(DType::f64);
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_scalar(launch.out[0].dtype, [&]<class S>() {
      dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
        kernels::cpu::sum<T, S>(launch.in[0].as<const T>(), static_cast<double*>(launch.workspace),
                                &launch.out[0].scalar<S>(), launch.write(0));
      });
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_scalar(launch.out[0].dtype, [&]<class S>() {
      dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
        kernels::cuda::sum<T, S>(launch.in[0].as<const T>(), static_cast<double*>(launch.workspace),
                                 launch.out[0].as<S>().data, launch.write(0), launch.stream);
      });
    });
  }
#endif
};

}  // namespace

void sum(Tape& tape, Var x, Output into, const std::string& name) {
  require_floating(tape, x, name);
  const TensorInfo& to = tape.info(into.var);
  if (to.elements() != 1 || (to.dtype != DType::f64 && to.dtype != DType::f32)) {
    throw ShapeError(tape.path(name),
                     to.path + " " + text_of(to.shape) + " of " + std::string(name_of(to.dtype)) +
                         " must be one float64 or float32 for the sum of " + text_of(tape.info(x).shape));
  }
  tape.append(std::make_shared<Sum>(), {x}, {into}, name);
}

}  // namespace lethe::ops
