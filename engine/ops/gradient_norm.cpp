// norm = sqrt(sum over tensors of sum of g^2);  scale = min(1, max_norm / (norm + 1e-6)).
#include "engine/ops/gradient_norm.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/ops/same_shape.h"
#include "kernels/gradient_norm.h"
#include "kernels/reduce.h"

namespace lethe::ops {
namespace {

int64_t pieces_of(const TensorInfo& x) {
  return kernels::cpu::reduction_pieces(x.rows(), x.width());
}

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
        partials = std::max(partials, pieces_of(tape.info(node.inputs[i])));
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

// Inputs the gradients; output their sums of squares.
class GradientSquares final : public Op {
 public:
  explicit GradientSquares(std::vector<int32_t> places) : places_(std::move(places)) {}
  std::string_view name() const override { return "gradient_squares"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost{.bytes = Op::cost(node, tape).bytes};
    for (const Var v : node.inputs) cost.flops += 2.0 * static_cast<double>(tape.info(v).elements());
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    if (device.kind == DeviceKind::cuda) return kernels::cuda::kSquarePartials * size_of(DType::f64);
    int64_t partials = 0;
    for (const Var v : node.inputs) partials = std::max(partials, pieces_of(tape.info(v)));
    return partials * size_of(DType::f64);
  }

  void run(const CpuLaunch& launch) const override {
    const kernels::Rows<double> sums = launch.out[0].as<double>();
    std::fill_n(sums.data, sums.rows * sums.width, 0.0);
    for (size_t i = 0; i < launch.in.size(); ++i) {
      dispatch_float(launch.in[i].dtype, name(), [&]<class T>() {
        kernels::cpu::sum_of_squares<T>(launch.in[i].as<const T>(), static_cast<double*>(launch.workspace),
                                        sums.data + places_[i]);
      });
    }
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    const kernels::Rows<double> sums = launch.out[0].as<double>();
    kernels::cuda::clear_sums(sums.data, sums.rows * sums.width, launch.stream);
    for (size_t i = 0; i < launch.in.size(); ++i) {
      dispatch_float(launch.in[i].dtype, name(), [&]<class T>() {
        kernels::cuda::sum_of_squares<T>(launch.in[i].as<const T>(), static_cast<double*>(launch.workspace),
                                         sums.data + places_[i], launch.stream);
      });
    }
  }
#endif

 private:
  std::vector<int32_t> places_;
};

// Inputs the sums of squares and the loss; outputs norm, scale, halted.
class NormOfSquares final : public Op {
 public:
  explicit NormOfSquares(double max_norm) : max_norm_(max_norm) {}
  std::string_view name() const override { return "norm_of_squares"; }

  void run(const CpuLaunch& launch) const override {
    const kernels::Rows<const double> sums = launch.in[0].as<const double>();
    double squares = 0;
    for (int64_t i = 0; i < sums.rows * sums.width; ++i) squares += sums.data[i];
    kernels::finish_norm(squares, launch.in[1].scalar<double>(), max_norm_, &launch.out[0].scalar<double>(),
                         &launch.out[1].scalar<double>(), &launch.out[2].scalar<int64_t>());
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    const kernels::Rows<const double> sums = launch.in[0].as<const double>();
    kernels::cuda::finish_norm(sums.data, sums.rows * sums.width, launch.in[1].as<const double>().data,
                               max_norm_, launch.out[0].as<double>().data, launch.out[1].as<double>().data,
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

void require_scalars(const Tape& tape, Var loss, double max_norm, const GradientNorm& into,
                     const std::string& name) {
  if (!(max_norm >= 0))
    throw ConfigError(tape.path(name), fmt::format("the norm is clipped at {}", max_norm));
  require_one(tape, loss, DType::f64, name);
  require_one(tape, into.norm, DType::f64, name);
  require_one(tape, into.scale, DType::f64, name);
  require_one(tape, into.halted, DType::i64, name);
}

std::vector<Output> outputs_of(const GradientNorm& into) {
  return {{into.norm}, {into.scale}, {into.halted, Access::update}};
}

}  // namespace

void gradient_norm(Tape& tape, const std::vector<Var>& gradients, Var loss, double max_norm,
                   const GradientNorm& into, const std::string& name) {
  require_scalars(tape, loss, max_norm, into, name);
  std::vector<Var> inputs{loss};
  for (const Var g : gradients) {
    require_floating(tape, g, name);
    inputs.push_back(g);
  }
  tape.append(std::make_shared<GradientNormOp>(max_norm), std::move(inputs), outputs_of(into), name);
}

void gradient_squares(Tape& tape, const std::vector<Var>& gradients, const std::vector<int32_t>& places,
                      Var into, const std::string& name) {
  const TensorInfo& sums = tape.info(into);
  bool fits = sums.dtype == DType::f64 && sums.rows() <= 1 && gradients.size() == places.size();
  for (const int32_t p : places) fits = fits && p >= 0 && p < sums.elements();
  if (!fits) {
    throw ShapeError(tape.path(name),
                     fmt::format("{} {} of {} has no place for the sums of {} gradients", sums.path,
                                 text_of(sums.shape), name_of(sums.dtype), gradients.size()));
  }
  for (const Var g : gradients) require_floating(tape, g, name);
  tape.append(std::make_shared<GradientSquares>(places), gradients, {{into}}, name);
}

void norm_of_squares(Tape& tape, Var squares, Var loss, double max_norm, const GradientNorm& into,
                     const std::string& name) {
  require_scalars(tape, loss, max_norm, into, name);
  const TensorInfo& sums = tape.info(squares);
  if (sums.dtype != DType::f64 || sums.rows() > 1) {
    throw ShapeError(tape.path(name), fmt::format("{} {} of {} must be a row of float64", sums.path,
                                                  text_of(sums.shape), name_of(sums.dtype)));
  }
  tape.append(std::make_shared<NormOfSquares>(max_norm), {squares, loss}, outputs_of(into), name);
}

}  // namespace lethe::ops
