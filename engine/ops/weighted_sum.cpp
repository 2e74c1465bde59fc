// s = sum_i x_i w_i; ds/dx_i = w_i.
#include "engine/ops/weighted_sum.h"

#include "engine/backward.h"
#include "kernels/reduce.h"

namespace lethe::ops {
namespace {

// Inputs ds (one element), w; output dx.
class WeightedSumBackward final : public Op {
 public:
  std::string_view name() const override { return "weighted_sum_backward"; }
  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[1].dtype, name(), [&]<class T>() {
      const auto scale = launch.in[0].scalar<const compute_t<T>>();
      const auto w = launch.in[1].as<const T>();
      const auto dx = launch.out[0].as<T>();
      for (int64_t r = 0; r < w.rows; ++r) {
        for (int64_t c = 0; c < w.width; ++c) {
          kernels::put(dx.row(r)[c], scale * static_cast<compute_t<T>>(w.row(r)[c]), launch.write(0));
        }
      }
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[1].dtype, name(), [&]<class T>() {
      kernels::cuda::scaled<T>(launch.in[0].as<const compute_t<T>>().data, launch.in[1].as<const T>(),
                               launch.out[0].as<T>(), launch.write(0), launch.stream);
    });
  }
#endif
};

class WeightedSum final : public Op {
 public:
  std::string_view name() const override { return "weighted_sum"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    if (!builder.needs(0)) return;
    const Var ds = builder.gradient(), w = builder.input(1);
    const Output dx = builder.target(0);
    builder.tape().append(std::make_shared<WeightedSumBackward>(), {ds, w}, {dx});
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    const TensorInfo& x = tape.info(node.inputs[0]);
    if (device.kind == DeviceKind::cpu) return 0;
    return kernels::cuda::reduction_pieces(x.rows(), x.width()) * size_of(DType::f64);
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      using C = compute_t<T>;
      const auto x = launch.in[0].as<const T>(), w = launch.in[1].as<const T>();
      C sum = 0;
      for (int64_t r = 0; r < x.rows; ++r) {
        for (int64_t c = 0; c < x.width; ++c)
          sum += static_cast<C>(x.row(r)[c]) * static_cast<C>(w.row(r)[c]);
      }
      kernels::put(launch.out[0].scalar<C>(), sum, launch.write(0));
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::weighted_sum<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(),
                                     static_cast<double*>(launch.workspace),
                                     launch.out[0].as<compute_t<T>>().data, launch.write(0), launch.stream);
    });
  }
#endif
};

}  // namespace

void weighted_sum(Tape& tape, Var x, Var weights, Output into) {
  const TensorInfo &in = tape.info(x), &w = tape.info(weights);
  if (in.rows() != w.rows() || in.width() != w.width() || in.dtype != w.dtype) {
    throw ShapeError(tape.path("weighted_sum"),
                     "weights " + text_of(w.shape) + " do not fit x " + text_of(in.shape));
  }
  tape.append(std::make_shared<WeightedSum>(), {x, weights}, {into}, "weighted_sum");
}

}  // namespace lethe::ops
