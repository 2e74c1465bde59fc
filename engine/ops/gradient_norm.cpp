// norm = sqrt(sum over tensors of sum of g^2);  scale = min(1, max_norm / (norm + 1e-6)).
#include "engine/ops/gradient_norm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/ops/same_shape.h"
#include "kernels/reduce.h"

namespace lethe::ops {
namespace {

class SquaredNorm final : public Op {
 public:
  std::string_view name() const override { return "squared_norm"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 2.0 * static_cast<double>(tape.info(node.inputs[0]).elements());
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
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::sum_of_squares<T>(launch.in[0].as<const T>(), static_cast<double*>(launch.workspace),
                                      &launch.out[0].scalar<double>());
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::sum_of_squares<T>(launch.in[0].as<const T>(), static_cast<double*>(launch.workspace),
                                       launch.out[0].as<double>().data, launch.stream);
    });
  }
#endif
};

class FinishNorm final : public Op {
 public:
  explicit FinishNorm(double max_norm) : max_norm_(max_norm) {}
  std::string_view name() const override { return "finish_norm"; }

  void run(const CpuLaunch& launch) const override {
    const auto partials = launch.in[0].as<const double>();
    double total = 0;
    for (int64_t i = 0; i < partials.width; ++i) total += partials.data[i];
    const double norm = std::sqrt(total);
    double scale = max_norm_ > 0 ? std::min(1.0, max_norm_ / (norm + 1e-6)) : 1.0;
    if (!std::isfinite(norm)) scale = std::numeric_limits<double>::quiet_NaN();
    launch.out[0].scalar<double>() = norm;
    launch.out[1].scalar<double>() = scale;
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    const auto partials = launch.in[0].as<const double>();
    kernels::cuda::finish_norm(partials.data, partials.width, max_norm_, launch.out[0].as<double>().data,
                               launch.out[1].as<double>().data, launch.stream);
  }
#endif

 private:
  double max_norm_;
};

void require_doubles(const Tape& tape, Var v, const std::string& name, bool one) {
  const TensorInfo& info = tape.info(v);
  if (info.dtype == DType::f64 && info.rows() == 1 && (!one || info.elements() == 1)) return;
  throw ShapeError(tape.path(name),
                   fmt::format("{} {} of {} must be {} float64", info.path, text_of(info.shape),
                               name_of(info.dtype), one ? "one" : "a vector of"));
}

}  // namespace

void squared_norm(Tape& tape, Var x, Var into, const std::string& name) {
  require_floating(tape, x, name);
  require_doubles(tape, into, name, true);
  tape.append(std::make_shared<SquaredNorm>(), {x}, {{into}}, name);
}

void finish_norm(Tape& tape, Var partials, double max_norm, Var norm, Var scale, const std::string& name) {
  if (!(max_norm >= 0))
    throw ConfigError(tape.path(name), fmt::format("the norm is clipped at {}", max_norm));
  require_doubles(tape, partials, name, false);
  require_doubles(tape, norm, name, true);
  require_doubles(tape, scale, name, true);
  tape.append(std::make_shared<FinishNorm>(max_norm), {partials}, {{norm}, {scale}}, name);
}

}  // namespace lethe::ops
