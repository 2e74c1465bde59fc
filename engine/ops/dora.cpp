// y = (m / n) z;  dz = (m / n) dy,  dm = sum over rows of dy z / n;  n is a constant.
#include "engine/ops/dora.h"

#include "engine/backward.h"
#include "engine/ops/matmul.h"
#include "kernels/dora.h"

namespace lethe::ops {
namespace {

template <class T>
const compute_t<T>* vector_of(const Buffer& buffer) {
  return buffer.as<const compute_t<T>>().data;
}

class RowSquares final : public Op {
 public:
  std::string_view name() const override { return "row_squares"; }
  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::row_squares<T>(launch.in[0].as<const T>(), launch.out[0].as<compute_t<T>>().data);
    });
  }
#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::row_squares<T>(launch.in[0].as<const T>(), launch.out[0].as<compute_t<T>>().data,
                                    launch.stream);
    });
  }
#endif
};

// Inputs squares, P, G, b, m; outputs factor, inverse_norm. No gradient: n is a constant, and that of m is
// part of the rule of the scaling.
class Factors final : public Op {
 public:
  explicit Factors(double scale) : scale_(scale) {}
  std::string_view name() const override { return "dora_factors"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    const TensorInfo& b = tape.info(node.inputs[3]);
    cost.flops = static_cast<double>(b.elements()) * (2.0 * static_cast<double>(b.width()) + 4);
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[3].dtype, name(), [&]<class T>() {
      using C = compute_t<T>;
      kernels::cpu::dora_factors<T>(vector_of<T>(launch.in[0]), launch.in[1].as<const C>(),
                                    launch.in[2].as<const C>(), launch.in[3].as<const T>(),
                                    vector_of<T>(launch.in[4]), scale_, launch.out[0].as<C>().data,
                                    launch.out[1].as<C>().data);
    });
  }
#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[3].dtype, name(), [&]<class T>() {
      using C = compute_t<T>;
      kernels::cuda::dora_factors<T>(vector_of<T>(launch.in[0]), launch.in[1].as<const C>(),
                                     launch.in[2].as<const C>(), launch.in[3].as<const T>(),
                                     vector_of<T>(launch.in[4]), scale_, launch.out[0].as<C>().data,
                                     launch.out[1].as<C>().data, launch.stream);
    });
  }
#endif

 private:
  double scale_;
};

// Inputs dy, z, factor, inverse_norm; outputs dz and perhaps dm.
class ScaleColumnsBackward final : public Op {
 public:
  std::string_view name() const override { return "dora_backward"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 3.0 * static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    const TensorInfo& dy = tape.info(node.inputs[0]);
    int64_t bytes = 0;
    if (device.kind == DeviceKind::cpu || node.outputs.size() < 2) return bytes;
    dispatch_float(dy.dtype, name(), [&]<class T>() {
      bytes = kernels::cuda::scale_columns_workspace_bytes<T>(dy.rows(), dy.width());
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::scale_columns_backward<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(),
                                              vector_of<T>(launch.in[2]), vector_of<T>(launch.in[3]),
                                              launch.out[0].as<T>(), launch.write(0), dmagnitude<T>(launch),
                                              write_dmagnitude(launch));
    });
  }
#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::scale_columns_backward<T>(launch.in[0].as<const T>(), launch.in[1].as<const T>(),
                                               vector_of<T>(launch.in[2]), vector_of<T>(launch.in[3]),
                                               launch.out[0].as<T>(), launch.write(0), dmagnitude<T>(launch),
                                               write_dmagnitude(launch), launch.workspace, launch.stream);
    });
  }
#endif

 private:
  template <class T>
  static compute_t<T>* dmagnitude(const Launch& launch) {
    return launch.out.size() < 2 ? nullptr : launch.out[1].as<compute_t<T>>().data;
  }
  static kernels::Write write_dmagnitude(const Launch& launch) {
    return launch.out.size() < 2 ? kernels::Write::overwrite : launch.write(1);
  }
};

// Inputs z, factor, inverse_norm and perhaps m; output y.
class ScaleColumns final : public Op {
 public:
  std::string_view name() const override { return "dora"; }

  void gradient(const Node& node, GradientBuilder& builder) const override {
    if (!builder.needs(0)) return;
    const Var dy = builder.gradient(), z = builder.input(0), factor = builder.input(1),
              inverse_norm = builder.input(2);
    std::vector<Output> outputs{builder.target(0)};
    if (node.inputs.size() > 3 && builder.needs(3)) outputs.push_back(builder.target(3));
    builder.tape().append(std::make_shared<ScaleColumnsBackward>(), {dy, z, factor, inverse_norm}, outputs,
                          "dz");
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = static_cast<double>(tape.info(node.inputs[0]).elements());
    return cost;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cpu::scale_columns<T>(launch.in[0].as<const T>(), vector_of<T>(launch.in[1]),
                                     launch.out[0].as<T>());
    });
  }
#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      kernels::cuda::scale_columns<T>(launch.in[0].as<const T>(), vector_of<T>(launch.in[1]),
                                      launch.out[0].as<T>(), launch.stream);
    });
  }
#endif
};

void require_vector(const Tape& tape, const std::string& name, Var v, int64_t size, DType dtype) {
  const TensorInfo& info = tape.info(v);
  if (info.elements() == size && info.rows() == 1 && info.dtype == dtype) return;
  throw ShapeError(tape.path(name), info.path + " " + text_of(info.shape) + " of " +
                                        std::string(name_of(info.dtype)) + " is no vector of " +
                                        std::to_string(size) + " " + std::string(name_of(dtype)));
}

}  // namespace

void row_squares(Tape& tape, Var w, Var squares) {
  const TensorInfo& info = tape.info(w);
  require_vector(tape, "row_squares", squares, info.rows(), compute_dtype(info.dtype));
  tape.append(std::make_shared<RowSquares>(), {w}, {{squares}}, "row_squares");
}

DoraFactors dora_factors(Tape& tape, const DoraMap& map, const std::string& name) {
  const TensorInfo w = tape.info(map.weight), a = tape.info(map.a), b = tape.info(map.b);
  const DType compute = compute_dtype(w.dtype);
  check_linear(tape, name, map.weight, map.a);
  if (b.shape.size() != 2 || b.rows() != w.rows() || b.width() != a.rows() ||
      compute_dtype(b.dtype) != compute) {
    throw ShapeError(tape.path(name), b.path + " " + text_of(b.shape) + " does not fit W " +
                                          text_of(w.shape) + " and A " + text_of(a.shape));
  }
  require_vector(tape, name, map.squares, w.rows(), compute);
  require_vector(tape, name, map.magnitude, w.rows(), compute);
  const Tape::Scope scope(tape, name);
  const Var p = tape.tensor({w.rows(), a.rows()}, compute, "w_a");
  const Var g = tape.tensor({a.rows(), a.rows()}, compute, "a_a");
  tape.append(matmul(kernels::MatmulForm::nt, 1), {map.weight, map.a}, {{p}}, "w_a");
  tape.append(matmul(kernels::MatmulForm::nt, 1), {map.a, map.a}, {{g}}, "a_a");
  const DoraFactors made{tape.tensor({w.rows()}, compute, "factor"),
                         tape.tensor({w.rows()}, compute, "inverse_norm")};
  tape.append(std::make_shared<Factors>(map.scale), {map.squares, p, g, map.b, map.magnitude},
              {{made.factor}, {made.inverse_norm}}, "factors");
  return made;
}

void scale_columns(Tape& tape, Var z, const DoraFactors& factors, Var magnitude, Var y,
                   const std::string& name) {
  const TensorInfo in = tape.info(z), out = tape.info(y);
  const DType compute = compute_dtype(in.dtype);
  if (in.shape != out.shape || in.dtype != out.dtype) {
    throw ShapeError(tape.path(name), in.path + " " + text_of(in.shape) + " does not fit " + out.path + " " +
                                          text_of(out.shape));
  }
  std::vector<Var> inputs{z, factors.factor, factors.inverse_norm};
  if (magnitude.valid()) inputs.push_back(magnitude);
  for (size_t i = 1; i < inputs.size(); ++i) require_vector(tape, name, inputs[i], in.width(), compute);
  tape.append(std::make_shared<ScaleColumns>(), std::move(inputs), {{y}}, name);
}

}  // namespace lethe::ops
