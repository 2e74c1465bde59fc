// o = softmax(q k^T / sqrt(D)) v over the visible keys. The backward pass computes the probabilities again
// from the row's log-sum-exp, the one thing kept beside the output, and what was dropped from its key. On a
// GPU bf16 goes to cuDNN where it can (kernels/attention_library.h), all else to our own kernels: with
// dropout always, whose mask is the CPU's.
#include "engine/ops/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/backward.h"
#include "engine/log.h"
#include "kernels/attention_dropout.h"
#include "kernels/attention_library.h"

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

// What a node and its gradient drop; inputs from `first` on are seed, step and first row.
struct Dropping {
  double rate = 0;
  uint64_t stream = 0;

  kernels::AttentionDropout of(const Launch& launch, size_t first) const {
    if (rate == 0) return {};
    const auto at = [&](size_t i) { return launch.in[first + i].as<const int64_t>().data; };
    return {.rate = rate, .key = {.seed = at(0), .step = at(1), .first_row = at(2), .stream = stream}};
  }
};

using kernels::cuda::AttentionProblem;

// What a node and its gradient agree on before either runs: the log-sum-exp of packed rows lies differently
// in the library's hands and in ours. A tape runs on one backend, so that one note serves.
struct Agreement {
  bool own_kernels = false;
};

#if LETHE_WITHOUT_CUDNN
constexpr bool kHasLibrary = false;
#else
constexpr bool kHasLibrary = true;
#endif

// Of a node as planned or as launched. pitch(i): of input i; pitch_out(i): of output i.
template <class In, class Out>
AttentionProblem forward_problem(const AttentionShape& shape, const In& pitch, const Out& pitch_out) {
  return {.shape = shape,
          .scale = scale_of(shape),
          .q_pitch = pitch(0),
          .k_pitch = pitch(1),
          .v_pitch = pitch(2),
          .out_pitch = pitch_out(0)};
}
template <class In, class Out>
AttentionProblem backward_problem(const AttentionShape& shape, const In& pitch, const Out& pitch_out) {
  return {.shape = shape,
          .scale = scale_of(shape),
          .backward = true,
          .q_pitch = pitch(1),
          .k_pitch = pitch(2),
          .v_pitch = pitch(3),
          .out_pitch = pitch(5),
          .dout_pitch = pitch(0),
          .dq_pitch = pitch_out(0),
          .dk_pitch = pitch_out(1),
          .dv_pitch = pitch_out(2)};
}

// The library's share of a node's workspace; 0 where it will not be asked.
int64_t library_bytes(const AttentionProblem& problem) {
  if (!kHasLibrary || !kernels::cuda::attention_library_refusal(problem).empty()) return 0;
  return kernels::cuda::attention_library_bytes(problem);
}

#if LETHE_WITH_CUDA
bool aligned(std::span<const Buffer> buffers) {
  return std::ranges::all_of(buffers, [](const Buffer& b) {
    return b.dtype != DType::bf16 || reinterpret_cast<uintptr_t>(b.data) % 16 == 0;
  });
}

// The plan that a launch will run, or null: then our own kernels do. Says why not, once for each reason; rows
// of which nobody said how many documents they hold were never meant for the library.
const kernels::cuda::AttentionLibrary::Plan* plan_of(const CudaLaunch& launch,
                                                     const AttentionProblem& problem, double dropout) {
  if (!launch.attention || problem.shape.documents == 0) return nullptr;
  if (!aligned(launch.in) || !aligned(launch.out)) return nullptr;
  std::string refusal = "attention dropout";
  const auto* plan =
      dropout > 0 ? nullptr : launch.attention->plan(problem, launch.workspace_bytes, &refusal);
  if (!plan && launch.attention->is_news(refusal)) {
    log::info("attention runs on Lethe's own kernels, not on cuDNN: " + refusal);
  }
  return plan;
}
#endif

#if LETHE_WITH_CUDA
void check_head_dim(const AttentionShape& shape, std::string_view name) {
  if (shape.head_dim <= kernels::cuda::kMostHeadDim) return;
  throw DeviceError(std::string(name), "heads of " + std::to_string(shape.head_dim) +
                                           " are wider than the CUDA kernel's " +
                                           std::to_string(kernels::cuda::kMostHeadDim));
}
#endif

// Inputs dout, q, k, v, document_start, out, lse and, with dropout, its three; outputs those of dq, dk, dv
// that are wanted.
class AttentionBackward final : public Op {
 public:
  // whole: all three gradients are wanted and overwritten, which is all that the library does.
  AttentionBackward(const AttentionShape& shape, std::array<bool, 3> wanted, bool whole, Dropping dropping,
                    std::shared_ptr<Agreement> agreement)
      : shape_(shape), wanted_(wanted), whole_(whole), dropping_(dropping), agreement_(std::move(agreement)) {
    if (!whole_) agreement_->own_kernels = true;
  }
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
    const bool asks = whole_ && dropping_.rate == 0 && tape.info(node.inputs[0]).dtype == DType::bf16;
    if (device.kind == DeviceKind::cuda && asks) {
      const auto in = [&](size_t i) { return tape.info(node.inputs[i]).pitch; };
      const auto out = [&](size_t i) { return tape.info(node.outputs[i].var).pitch; };
      bytes = std::max(bytes, library_bytes(backward_problem(shape_, in, out)));
    }
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const auto gradients = gradients_of<T>(launch);
      const kernels::AttentionDropout dropout = dropping_.of(launch, 7);
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cpu::attention_backward<T>(shape_, scale_of(shape_), in(0), in(1), in(2), in(3),
                                          launch.in[4].as<const int32_t>().data, in(5),
                                          launch.in[6].as<const compute_t<T>>().data, gradients[0],
                                          gradients[1], gradients[2], launch.workspace, &dropout);
    });
  }

#if LETHE_WITH_CUDA
  void prepare(const CudaLaunch& launch) const override {
    if (!plan(launch)) agreement_->own_kernels = true;
  }
  void run(const CudaLaunch& launch) const override {
    if (const auto* chosen = plan(launch); chosen && !(shape_.packed() && agreement_->own_kernels)) {
      const auto in = [&](size_t i) { return launch.in[i].as<const bf16>().data; };
      const auto out = [&](size_t i) { return launch.out[i].as<bf16>().data; };
      // Of a backward problem out and lse are only read.
      return launch.attention->run(*chosen,
                                   {.q = in(1),
                                    .k = in(2),
                                    .v = in(3),
                                    .dout = in(0),
                                    .document_start = launch.in[4].as<const int32_t>().data,
                                    .out = launch.in[5].as<bf16>().data,
                                    .lse = launch.in[6].as<float>().data,
                                    .dq = out(0),
                                    .dk = out(1),
                                    .dv = out(2),
                                    .workspace = launch.workspace},
                                   launch.stream);
    }
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const auto gradients = gradients_of<T>(launch);
      const kernels::AttentionDropout dropout = dropping_.of(launch, 7);
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cuda::attention_backward<T>(
          shape_, scale_of(shape_), in(0), in(1), in(2), in(3), launch.in[4].as<const int32_t>().data, in(5),
          launch.in[6].as<const compute_t<T>>().data, gradients[0], gradients[1], gradients[2],
          launch.workspace, launch.stream, &dropout);
    });
  }
#endif

 private:
#if LETHE_WITH_CUDA
  const kernels::cuda::AttentionLibrary::Plan* plan(const CudaLaunch& launch) const {
    if (!whole_ || launch.in[0].dtype != DType::bf16) return nullptr;
    const auto in = [&](size_t i) { return launch.in[i].pitch; };
    const auto out = [&](size_t i) { return launch.out[i].pitch; };
    return plan_of(launch, backward_problem(shape_, in, out), dropping_.rate);
  }
#endif

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
  bool whole_;
  Dropping dropping_;
  std::shared_ptr<Agreement> agreement_;
};

// Inputs q, k, v, document_start, hidden; outputs out, lse. Always on our own kernels.
class BranchedAttention final : public Op {
 public:
  explicit BranchedAttention(const AttentionShape& shape) : shape_(shape) {}
  std::string_view name() const override { return "branched_attention"; }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 4 * static_cast<double>(shape_.head_dim) * visible_pairs(shape_);
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    if (device.kind == DeviceKind::cuda) return 0;
    int64_t bytes = 0;
    dispatch_float(tape.info(node.inputs[0]).dtype, name(), [&]<class T>() {
      bytes = kernels::cpu::attention_workspace_bytes<T>(shape_, device.threads);
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cpu::branched_attention<T>(shape_, scale_of(shape_), in(0), in(1), in(2),
                                          launch.in[3].as<const int32_t>().data,
                                          launch.in[4].as<const int32_t>().data, launch.out[0].as<T>(),
                                          launch.out[1].as<compute_t<T>>().data, launch.workspace);
    });
  }

#if LETHE_WITH_CUDA
  void prepare(const CudaLaunch&) const override {
    check_head_dim(shape_, name());
  }
  void run(const CudaLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cuda::branched_attention<T>(shape_, scale_of(shape_), in(0), in(1), in(2),
                                           launch.in[3].as<const int32_t>().data,
                                           launch.in[4].as<const int32_t>().data, launch.out[0].as<T>(),
                                           launch.out[1].as<compute_t<T>>().data, launch.stream);
    });
  }
#endif

 private:
  AttentionShape shape_;
};

// Inputs q, k, v, document_start and, with dropout, its three; outputs out, lse.
class Attention final : public Op {
 public:
  Attention(const AttentionShape& shape, Dropping dropping) : shape_(shape), dropping_(dropping) {}
  std::string_view name() const override { return "attention"; }

  void gradient(const Node& node, GradientBuilder& builder) const override {
    const std::array<bool, 3> wanted{builder.needs(0), builder.needs(1), builder.needs(2)};
    std::vector<Var> inputs{builder.gradient(), builder.input(0),  builder.input(1), builder.input(2),
                            builder.input(3),   builder.output(0), builder.output(1)};
    inputs.insert(inputs.end(), node.inputs.begin() + 4, node.inputs.end());
    std::vector<Output> outputs;
    for (size_t i = 0; i < 3; ++i) {
      if (wanted[i]) outputs.push_back(builder.target(i));
    }
    const bool whole = outputs.size() == 3 && std::ranges::all_of(outputs, [](const Output& o) {
                         return o.access == Access::overwrite;
                       });
    builder.tape().append(std::make_shared<AttentionBackward>(shape_, wanted, whole, dropping_, agreement_),
                          inputs, outputs);
  }

  Cost cost(const Node& node, const Tape& tape) const override {
    Cost cost = Op::cost(node, tape);
    cost.flops = 4 * static_cast<double>(shape_.head_dim) * visible_pairs(shape_);
    return cost;
  }

  int64_t workspace(const Node& node, const Tape& tape, const Device& device) const override {
    int64_t bytes = 0;
    if (device.kind == DeviceKind::cuda) {
      if (dropping_.rate > 0 || tape.info(node.inputs[0]).dtype != DType::bf16) return 0;
      const auto in = [&](size_t i) { return tape.info(node.inputs[i]).pitch; };
      const auto out = [&](size_t i) { return tape.info(node.outputs[i].var).pitch; };
      return library_bytes(forward_problem(shape_, in, out));
    }
    dispatch_float(tape.info(node.inputs[0]).dtype, name(), [&]<class T>() {
      bytes = kernels::cpu::attention_workspace_bytes<T>(shape_, device.threads);
    });
    return bytes;
  }

  void run(const CpuLaunch& launch) const override {
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const kernels::AttentionDropout dropout = dropping_.of(launch, 4);
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cpu::attention<T>(shape_, scale_of(shape_), in(0), in(1), in(2),
                                 launch.in[3].as<const int32_t>().data, launch.out[0].as<T>(),
                                 launch.out[1].as<compute_t<T>>().data, launch.workspace, &dropout);
    });
  }

#if LETHE_WITH_CUDA
  void prepare(const CudaLaunch& launch) const override {
    check_head_dim(shape_, name());
    if (!plan(launch)) agreement_->own_kernels = true;
  }
  void run(const CudaLaunch& launch) const override {
    if (const auto* chosen = plan(launch); chosen && !(shape_.packed() && agreement_->own_kernels)) {
      const auto in = [&](size_t i) { return launch.in[i].as<const bf16>().data; };
      return launch.attention->run(*chosen,
                                   {.q = in(0),
                                    .k = in(1),
                                    .v = in(2),
                                    .document_start = launch.in[3].as<const int32_t>().data,
                                    .out = launch.out[0].as<bf16>().data,
                                    .lse = launch.out[1].as<float>().data,
                                    .workspace = launch.workspace},
                                   launch.stream);
    }
    dispatch_float(launch.in[0].dtype, name(), [&]<class T>() {
      const kernels::AttentionDropout dropout = dropping_.of(launch, 4);
      const auto in = [&](size_t i) { return launch.in[i].as<const T>(); };
      kernels::cuda::attention<T>(shape_, scale_of(shape_), in(0), in(1), in(2),
                                  launch.in[3].as<const int32_t>().data, launch.out[0].as<T>(),
                                  launch.out[1].as<compute_t<T>>().data, launch.stream, &dropout);
    });
  }
#endif

 private:
#if LETHE_WITH_CUDA
  const kernels::cuda::AttentionLibrary::Plan* plan(const CudaLaunch& launch) const {
    if (launch.in[0].dtype != DType::bf16) return nullptr;
    const auto in = [&](size_t i) { return launch.in[i].pitch; };
    const auto out = [&](size_t i) { return launch.out[i].pitch; };
    return plan_of(launch, forward_problem(shape_, in, out), dropping_.rate);
  }
#endif

  AttentionShape shape_;
  Dropping dropping_;
  std::shared_ptr<Agreement> agreement_ = std::make_shared<Agreement>();
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
  if (s.documents != 0 && s.documents < s.batch) {
    throw ShapeError(
        path, std::to_string(s.documents) + " documents cannot fill " + std::to_string(s.batch) + " rows");
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

void check_hidden(const Tape& tape, const std::string& name, Var hidden, const AttentionShape& s) {
  const TensorInfo& t = tape.info(hidden);
  if (t.dtype != DType::i32 || t.elements() != 2 * s.batch * s.tokens || s.window != 0) {
    throw ShapeError(tape.path(name), "hidden " + text_of(t.shape) + " of " + std::string(name_of(t.dtype)) +
                                          " with window " + std::to_string(s.window) + " is not " +
                                          text_of({2, s.batch * s.tokens}) + " of int32 without one");
  }
}

void check_dropout(const Tape& tape, const std::string& name, const AttentionDropout& dropout, Var hidden) {
  if (!(dropout.rate >= 0 && dropout.rate < 1))
    throw ConfigError(tape.path(name), fmt::format("attention dropout {} is not in [0, 1)", dropout.rate));
  if (dropout.rate == 0) return;
  if (hidden.valid()) {
    throw ConfigError(tape.path(name), fmt::format("attention dropout {} where texts branch, which is never "
                                                   "training",
                                                   dropout.rate));
  }
  require_random(tape, dropout.random, name);
}

}  // namespace

Var attention(Tape& tape, Var q, Var k, Var v, Var document_start, const AttentionShape& shape,
              const std::string& name, int64_t pitch, Var hidden,
              const std::optional<AttentionDropout>& dropout) {
  check(tape, name, q, k, v, document_start, shape);
  if (dropout) check_dropout(tape, name, *dropout, hidden);
  if (hidden.valid()) check_hidden(tape, name, hidden, shape);
  const DType dtype = tape.info(q).dtype;
  const Var out = tape.tensor({shape.batch * shape.tokens, shape.heads * shape.head_dim}, dtype, name,
                              Kind::activation, pitch);
  const Var lse =
      tape.tensor({shape.batch * shape.heads, shape.tokens}, compute_dtype(dtype), name + ".log_sum_exp");
  if (hidden.valid()) {
    tape.append(std::make_shared<BranchedAttention>(shape), {q, k, v, document_start, hidden}, {{out}, {lse}},
                name);
  } else {
    Dropping dropping;
    std::vector<Var> inputs{q, k, v, document_start};
    if (dropout && dropout->rate > 0) {
      dropping = {dropout->rate, dropout->stream};
      inputs.insert(inputs.end(), {dropout->random.seed, dropout->random.step, dropout->random.first_row});
    }
    tape.append(std::make_shared<Attention>(shape, dropping), inputs, {{out}, {lse}}, name);
  }
  return out;
}

}  // namespace lethe::ops
