// norm = sqrt(sum over tensors of sum of g^2);  scale = min(1, max_norm / (norm + 1e-6)).
#include "engine/ops/gradient_norm.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/ops/same_shape.h"
#include "kernels/gradient_norm.h"
#include "kernels/reduce.h"

namespace lethe::ops {
namespace {

// Inputs loss, then the gradients; outputs norm, scale, halted.
class GradientNormOp final : public Op {
 public:
  explicit GradientNormOp(double max_norm) : max_norm_(max_norm) {}
  std::string_view name() const override { return "gradient_norm"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost{.bytes = Op::cost(node, tape).bytes};
    for (size_t i = 1; i < node.inputs.size(); ++i)
      cost.flops += 2.0 * static_cast<double>(tape.info(node.inputs[i]).elements());
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    int64_t partials = 0;
    if (device.kind == DeviceKind::cuda) {
      partials = kernels::cuda::norm_partials(node.inputs.size() - 1);
    } else {
      for (size_t i = 1; i < node.inputs.size(); ++i) {
        const TensorInfo& x = tape.info(node.inputs[i]);
        partials = std::max(partials, kernels::cpu::reduction_pieces(x.rows(), x.width()));
      }
    }
    return partials * size_of(DType::f64);
  }

  void run(const CpuLaunch& launch) const override {
    double squares = 0;
    for (const Buffer& x : launch.in.subspan(1)) {
      dispatch_float(x.dtype, name(), [&]<class T>() {
        double of_tensor = 0;
        kernels::cpu::sum_of_squares<T>(x.as<const T>(), static_cast<double*>(launch.workspace), &of_tensor);
        squares += of_tensor;
      });
    }
    kernels::finish_norm(squares, launch.in[0].scalar<double>(), max_norm_, &launch.out[0].scalar<double>(),
                         &launch.out[1].scalar<double>(), &launch.out[2].scalar<int64_t>());
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    auto* const partials = static_cast<double*>(launch.workspace);
    int64_t count = 0;
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      dispatch_float(dtype, name(), [&]<class T>() {
        std::vector<kernels::Rows<const T>> tensors;
        for (const Buffer& x : launch.in.subspan(1)) {
          if (x.dtype == dtype) tensors.push_back(x.as<const T>());
        }
        count += kernels::cuda::sums_of_squares<T>(tensors, partials + count, launch.stream);
      });
    }
    kernels::cuda::finish_norm(partials, count, launch.in[0].as<const double>().data, max_norm_,
                               launch.out[0].as<double>().data, launch.out[1].as<double>().data,
                               launch.out[2].as<int64_t>().data, launch.stream);
  }
#endif

 private:
  double max_norm_;
};

void require_one(const Tape& tape, Var v, DType dtype, const std::string& name) {
  const TensorInfo& info = tape.info(v);
  if (info.dtype == dtype && info.elements() == 1) return;
  throw ShapeError(tape.path(name), fmt::format("{} {} of {} must be one {}", info.path, text_of(info.shape),
                                                name_of(info.dtype), name_of(dtype)));
}

}  // namespace

void gradient_norm(Tape& tape, const std::vector<Var>& gradients, Var loss, double max_norm,
                   const GradientNorm& into, const std::string& name) {
  if (!(max_norm >= 0))
    throw ConfigError(tape.path(name), fmt::format("the norm is clipped at {}", max_norm));
  require_one(tape, loss, DType::f64, name);
  require_one(tape, into.norm, DType::f64, name);
  require_one(tape, into.scale, DType::f64, name);
  require_one(tape, into.halted, DType::i64, name);
  std::vector<Var> inputs{loss};
  for (const Var g : gradients) {
    require_floating(tape, g, name);
    inputs.push_back(g);
  }
  tape.append(std::make_shared<GradientNormOp>(max_norm), std::move(inputs),
              {{into.norm}, {into.scale}, {into.halted, Access::update}}, name);
}

}  // namespace lethe::ops
