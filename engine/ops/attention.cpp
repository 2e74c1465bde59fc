// o = softmax(q k^T / sqrt(D)) v over the visible keys. The backward pass computes the probabilities again
// from the row's log-sum-exp, the one thing kept beside the output.
#include "engine/ops/attention.h"

#include <array>
#include <cmath>

#include "engine/backward.h"

namespace lethe::ops {
namespace {

double scale_of(const AttentionShape& s) {
  return 1 / std::sqrt(static_cast<double>(s.head_dim));
}

// Pairs of query and visible key, all heads, if every row were one document.
double visible_pairs(const AttentionShape& s) {
  const auto tokens = static_cast<double>(s.tokens);
  const double window = s.window > 0 ? std::min(static_cast<double>(s.window), tokens) : tokens;
  const double per_head = window * (window + 1) / 2 + (tokens - window) * window;
  return per_head * static_cast<double>(s.batch * s.heads);
}

// Inputs dout, q, k, v, document_start, out, lse; outputs those of dq, dk, dv that are wanted.
class AttentionBackward final : public Op {
 public:
  AttentionBackward(const AttentionShape& shape, std::array<bool, 3> wanted)
      : shape_(shape), wanted_(wanted) {}
  std::string_view name() const override { return "attention_backward"; }

  // Always the scores and dp; one product more for each gradient that is wanted.
  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    const auto products = 2 + static_cast<double>(node.outputs.size());
    cost.flops = 2 * products * static_cast<double>(shape_.head_dim) * visible_pairs(shape_);
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    int64_t bytes = 0;
    dispatch_float(tape.info(node.inputs[0]).dtype, name(), [&]<class T>() {
      bytes = device.kind == DeviceKind::cuda
                  ? kernels::cuda::attention_backward_workspace_bytes<T>(shape_)
                  : kernels::cpu::attention_backward_workspace_bytes<T>(shape_, device.threads);
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const auto gradients = gradients_of<T>(launch);
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cpu::attention_backward<T>(shape_, scale_of(shape_), in(0), in(1), in(2), in(3),
                                          launch.in[4].as<const int32_t>().data, in(5),
                                          launch.in[6].as<const compute_t<T>>().data, gradients[0],
                                          gradients[1], gradients[2], launch.workspace);
    });
  }

#if LETHE_WITH_CUDA
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const auto gradients = gradients_of<T>(launch);
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cuda::attention_backward<T>(shape_, scale_of(shape_), in(0), in(1), in(2), in(3),
                                           launch.in[4].as<const int32_t>().data, in(5),
                                           launch.in[6].as<const compute_t<T>>().data, gradients[0],
                                           gradients[1], gradients[2], launch.workspace, launch.stream);
    });
  }
#endif

 private:
  // Those of dq, dk and dv that are wanted; the others have no data.
  template <class T>
  std::array<kernels::cpu::AttentionGradient<T>, 3> gradients_of(const Launch& launch) const {
    std::array<kernels::cpu::AttentionGradient<T>, 3> gradients;
    size_t next = 0;
    for (size_t i = 0; i < 3; ++i) {
      if (!wanted_[i]) continue;
      gradients[i] = {launch.out[next].as<T>(), launch.write(next)};
      ++next;
    }
    return gradients;
  }

  AttentionShape shape_;
  std::array<bool, 3> wanted_;
};

// Inputs q, k, v, document_start; outputs out, lse.
class Attention final : public Op {
 public:
  explicit Attention(const AttentionShape& shape) : shape_(shape) {}
  std::string_view name() const override { return "attention"; }

  void gradient(const Node&, GradientBuilder& builder) const override {
    const std::array<bool, 3> wanted{builder.needs(0), builder.needs(1), builder.needs(2)};
    const std::vector<Var> inputs{builder.gradient(), builder.input(0),  builder.input(1), builder.input(2),
                                  builder.input(3),   builder.output(0), builder.output(1)};
    std::vector<Output> outputs;
    for (size_t i = 0; i < 3; ++i) {
      if (wanted[i]) outputs.push_back(builder.target(i));
    }
    builder.tape().append(std::make_shared<AttentionBackward>(shape_, wanted), inputs, outputs);
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 4 * static_cast<double>(shape_.head_dim) * visible_pairs(shape_);
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    int64_t bytes = 0;
    if (device.kind == DeviceKind::cuda) return bytes;
    dispatch_float(tape.info(node.inputs[0]).dtype, name(), [&]<class T>() {
      bytes = kernels::cpu::attention_workspace_bytes<T>(shape_, device.threads);
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cpu::attention<T>(shape_, scale_of(shape_), in(0), in(1), in(2),
                                 launch.in[3].as<const int32_t>().data, launch.out[0].as<T>(),
                                 launch.out[1].as<compute_t<T>>().data, launch.workspace);
    });
  }

#if LETHE_WITH_CUDA
  void prepare(const CudaLaunch&) const override {
    if (shape_.head_dim <= kernels::cuda::kMostHeadDim) return;
    throw DeviceError(std::string(name()), "heads of " + std::to_string(shape_.head_dim) +
                                               " are wider than the CUDA kernel's " +
                                               std::to_string(kernels::cuda::kMostHeadDim));
  }
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cuda::attention<T>(shape_, scale_of(shape_), in(0), in(1), in(2),
                                  launch.in[3].as<const int32_t>().data, launch.out[0].as<T>(),
                                  launch.out[1].as<compute_t<T>>().data, launch.stream);
    });
  }
#endif

 private:
  AttentionShape shape_;
};

void check(const Tape& tape, const std::string& name, Var q, Var k, Var v, Var document_start,
           const AttentionShape& s) {
  const std::string path = tape.path(name);
  if (s.batch < 0 || s.tokens < 0 || s.heads < 1 || s.kv_heads < 1 || s.heads % s.kv_heads != 0 ||
      s.head_dim < 1 || s.window < 0) {
    throw ShapeError(path, std::to_string(s.heads) + " heads of " + std::to_string(s.head_dim) + " over " +
                               std::to_string(s.kv_heads) + " key and value heads with window " +
                               std::to_string(s.window) + " are no attention");
  }
  const auto fit = [&](Var var, const char* what, int64_t heads) {
    const TensorInfo& t = tape.info(var);
    if (t.rows() == s.batch * s.tokens && t.width() == heads * s.head_dim && t.dtype == tape.info(q).dtype)
      return;
    throw ShapeError(path, std::string(what) + " " + text_of(t.shape) + " of " +
                               std::string(name_of(t.dtype)) + " is not " +
                               text_of({s.batch * s.tokens, heads * s.head_dim}) + " of " +
                               std::string(name_of(tape.info(q).dtype)));
  };
  fit(q, "q", s.heads);
  fit(k, "k", s.kv_heads);
  fit(v, "v", s.kv_heads);
  const TensorInfo& start = tape.info(document_start);
  if (start.dtype != DType::i32 || start.elements() != s.batch * s.tokens) {
    throw ShapeError(path, "document_start " + text_of(start.shape) + " of " +
                               std::string(name_of(start.dtype)) + " is not " +
                               text_of({s.batch * s.tokens}) + " of int32");
  }
  if (q == k || k == v || q == v)
    throw ShapeError(path, "q, k and v must be three tensors: " + tape.info(k).path);
}

}  // namespace

Var attention(Tape& tape, Var q, Var k, Var v, Var document_start, const AttentionShape& shape,
              const std::string& name, int64_t pitch) {
  check(tape, name, q, k, v, document_start, shape);
  const DType dtype = tape.info(q).dtype;
  const Var out = tape.tensor({shape.batch * shape.tokens, shape.heads * shape.head_dim}, dtype, name,
                              Kind::activation, pitch);
  const Var lse =
      tape.tensor({shape.batch * shape.heads, shape.tokens}, compute_dtype(dtype), name + ".log_sum_exp");
  tape.append(std::make_shared<Attention>(shape), {q, k, v, document_start}, {{out}, {lse}}, name);
  return out;
}

}  // namespace lethe::ops
