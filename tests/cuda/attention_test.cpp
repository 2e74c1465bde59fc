// Attention by cuDNN against the CPU's definition, computed in double from the same bf16 values.
#include "engine/ops/attention.h"

#include <cuda_runtime_api.h>

#include <array>
#include <functional>

#include "engine/ops/copy.h"
#include "engine/rng.h"
#include "kernels/attention_library.h"
#include "tests/cuda/compare.h"
#include "tests/engine/op_cases.h"

namespace lethe::test {
namespace {

using kernels::AttentionShape;
using kernels::Rows;
using kernels::cuda::AttentionLibrary;
using kernels::cuda::AttentionProblem;

// What lies between rows: a NaN, so that whoever reads it is found out.
constexpr uint16_t kGap = 0x7fc1;

// Memory of the GPU.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values) : count_(values.size()) {
    check_cuda(cudaMalloc(&data_, count_ * sizeof(T)));
    put(values);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { cudaFree(data_); }

  void put(const std::vector<T>& values) {
    check_cuda(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  std::vector<T> get() const {
    std::vector<T> values(count_);
    check_cuda(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }
  T* data() const { return static_cast<T*>(data_); }

 private:
  static void check_cuda(cudaError_t status) { ASSERT_EQ(status, cudaSuccess); }

  size_t count_;
  void* data_ = nullptr;
};

// A matrix in bf16 with gaps between its rows, and the same numbers in double without.
struct Matrix {
  int64_t rows, width, pitch;
  std::vector<bf16> narrow;
  std::vector<double> wide;

  Matrix(int64_t rows_, int64_t width_, int64_t pitch_, uint64_t seed)
      : rows(rows_), width(width_), pitch(pitch_) {
    bf16 gap;
    gap.bits = kGap;
    narrow.assign(static_cast<size_t>(rows * pitch), gap);
    const Rng rng(seed, 1);
    for (int64_t i = 0; i < rows * width; ++i) {
      const auto value = static_cast<bf16>(static_cast<float>(rng.normal(static_cast<uint64_t>(i))));
      narrow[static_cast<size_t>(i / width * pitch + i % width)] = value;
      wide.push_back(static_cast<float>(value));
    }
  }
};

// `count` columns of a matrix from `first` on, in double.
std::vector<double> columns(const std::vector<bf16>& values, int64_t pitch, int64_t first, int64_t count) {
  std::vector<double> found;
  for (int64_t r = 0; r < std::ssize(values) / pitch; ++r) {
    for (int64_t c = 0; c < count; ++c) {
      found.push_back(static_cast<float>(values[static_cast<size_t>(r * pitch + first + c)]));
    }
  }
  return found;
}

struct Case {
  std::string name;
  AttentionShape shape;
  std::vector<int64_t> lengths;  // of the documents, repeated until a row is full; empty: a row is one
  int64_t gap = 0;               // beyond the width, in the merged buffer
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

std::vector<int32_t> starts_of(const Case& c, size_t shift = 0) {
  std::vector<int32_t> starts;
  size_t next = shift;
  for (int64_t row = 0; row < c.shape.batch; ++row) {
    for (int64_t at = 0; at < c.shape.tokens;) {
      const int64_t length = c.lengths.empty() ? c.shape.tokens : c.lengths[next++ % c.lengths.size()];
      const int64_t end = std::min(at + length, c.shape.tokens);
      starts.insert(starts.end(), static_cast<size_t>(end - at), static_cast<int32_t>(at));
      at = end;
    }
  }
  return starts;
}

struct Results {
  std::vector<double> out, lse, dq, dk, dv;
  bool operator==(const Results&) const = default;
};

// A case's inputs, on the CPU in double and on the GPU.
class Problem {
 public:
  explicit Problem(const Case& c)
      : case_(c),
        s_(c.shape),
        rows_(s_.batch * s_.tokens),
        width_(s_.heads * s_.head_dim),
        kv_width_(s_.kv_heads * s_.head_dim),
        q_(rows_, width_, width_, 1),
        k_(rows_, kv_width_, kv_width_, 2),
        v_(rows_, kv_width_, kv_width_, 3),
        dout_(rows_, width_, width_ + 8, 4),
        pitch_(width_ + 2 * kv_width_ + c.gap) {}

  Results expected(const std::vector<int32_t>& starts) const {
    const auto zeros = [&](int64_t count) { return std::vector<double>(static_cast<size_t>(count)); };
    Results r{zeros(rows_ * width_), zeros(rows_ * s_.heads), zeros(rows_ * width_), zeros(rows_ * kv_width_),
              zeros(rows_ * kv_width_)};
    const auto in = [&](const std::vector<double>& x, int64_t width) {
      return Rows<const double>{x.data(), rows_, width, width};
    };
    const auto to = [&](std::vector<double>& x, int64_t width) {
      return Rows<double>{x.data(), rows_, width, width};
    };
    namespace cpu = kernels::cpu;
    std::vector<std::byte> workspace(
        static_cast<size_t>(std::max(cpu::attention_workspace_bytes<double>(s_, 1),
                                     cpu::attention_backward_workspace_bytes<double>(s_, 1)) +
                            64));
    cpu::attention<double>(s_, scale(), in(q_.wide, width_), in(k_.wide, kv_width_), in(v_.wide, kv_width_),
                           starts.data(), to(r.out, width_), r.lse.data(), workspace.data());
    cpu::attention_backward<double>(s_, scale(), in(dout_.wide, width_), in(q_.wide, width_),
                                    in(k_.wide, kv_width_), in(v_.wide, kv_width_), starts.data(),
                                    in(r.out, width_), r.lse.data(), {to(r.dq, width_)},
                                    {to(r.dk, kv_width_)}, {to(r.dv, kv_width_)}, workspace.data());
    return r;
  }

  AttentionProblem description(bool backward) const {
    AttentionProblem p{.shape = s_,
                       .scale = scale(),
                       .backward = backward,
                       .q_pitch = pitch_,
                       .k_pitch = pitch_,
                       .v_pitch = pitch_,
                       .out_pitch = out_pitch()};
    if (backward) {
      p.dout_pitch = dout_.pitch;
      p.dq_pitch = p.dk_pitch = p.dv_pitch = gradient_pitch();
    }
    return p;
  }

  // q, k and v side by side.
  std::vector<bf16> merged() const {
    bf16 gap;
    gap.bits = kGap;
    std::vector<bf16> made(static_cast<size_t>(rows_ * pitch_), gap);
    const auto lay = [&](const Matrix& part, int64_t first) {
      for (int64_t r = 0; r < rows_; ++r) {
        std::copy_n(part.narrow.begin() + r * part.pitch, part.width, made.begin() + r * pitch_ + first);
      }
    };
    lay(q_, 0);
    lay(k_, width_);
    lay(v_, width_ + kv_width_);
    return made;
  }

  double scale() const { return 1 / std::sqrt(static_cast<double>(s_.head_dim)); }
  int64_t out_pitch() const { return width_ + 64; }
  int64_t gradient_pitch() const { return s_.packed() ? pitch_ : pitch_ + 16; }
  const Matrix& dout() const { return dout_; }

  const Case case_;
  const AttentionShape s_;
  const int64_t rows_, width_, kv_width_;

 private:
  Matrix q_, k_, v_, dout_;
  int64_t pitch_;
};

// Forward and backward on the GPU, eagerly or by replaying a graph.
class OnGpu {
 public:
  OnGpu(const Problem& problem, AttentionLibrary& library)
      : p_(problem),
        library_(library),
        forward_(problem.description(false)),
        backward_(problem.description(true)),
        qkv_(problem.merged()),
        dout_(problem.dout().narrow),
        starts_(starts_of(problem.case_)),
        out_(gaps(p_.rows_ * p_.out_pitch())),
        gradient_(gaps(p_.rows_ * p_.gradient_pitch())),
        lse_(std::vector<float>(static_cast<size_t>(p_.rows_ * p_.s_.heads), NAN)),
        bytes_(std::max(attention_library_bytes(forward_), attention_library_bytes(backward_))),
        workspace_(std::vector<uint8_t>(static_cast<size_t>(bytes_), 0xff)) {
    cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
  }
  ~OnGpu() {
    if (graph_) cudaGraphExecDestroy(graph_);
    cudaStreamDestroy(stream_);
  }

  // Why cuDNN refuses; empty if it does not.
  std::string refusal() {
    std::string forward, backward;
    forward_plan_ = library_.plan(forward_, attention_library_bytes(forward_), &forward);
    backward_plan_ = library_.plan(backward_, attention_library_bytes(backward_), &backward);
    return forward + backward;
  }

  void queue() {
    const int64_t k = p_.width_, v = p_.width_ + p_.kv_width_;
    kernels::cuda::AttentionBuffers b{.q = qkv_.data(),
                                      .k = qkv_.data() + k,
                                      .v = qkv_.data() + v,
                                      .document_start = starts_.data(),
                                      .out = out_.data(),
                                      .lse = lse_.data(),
                                      .workspace = workspace_.data()};
    library_.run(*forward_plan_, b, stream_);
    b.dout = dout_.data();
    b.dq = gradient_.data();
    b.dk = gradient_.data() + k;
    b.dv = gradient_.data() + v;
    library_.run(*backward_plan_, b, stream_);
  }

  Results run() {
    queue();
    return results();
  }
  Results replay(const std::vector<int32_t>& starts) {
    if (!graph_) capture();
    starts_.put(starts);
    EXPECT_EQ(cudaGraphLaunch(graph_, stream_), cudaSuccess);
    return results();
  }

  void expect_gaps_untouched() const {
    const auto check = [&](const std::vector<bf16>& values, int64_t pitch, int64_t width) {
      for (size_t i = 0; i < values.size(); ++i) {
        if (static_cast<int64_t>(i) % pitch < width) continue;
        ASSERT_EQ(values[i].bits, kGap) << i;
      }
    };
    check(out_.get(), p_.out_pitch(), p_.width_);
    check(gradient_.get(), p_.gradient_pitch(), p_.width_ + 2 * p_.kv_width_);
  }

 private:
  static std::vector<bf16> gaps(int64_t count) {
    bf16 gap;
    gap.bits = kGap;
    return std::vector<bf16>(static_cast<size_t>(count), gap);
  }

  void capture() {
    cudaGraph_t recorded = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    queue();
    ASSERT_EQ(cudaStreamEndCapture(stream_, &recorded), cudaSuccess);
    ASSERT_EQ(cudaGraphInstantiate(&graph_, recorded, 0), cudaSuccess);
    cudaGraphDestroy(recorded);
  }

  Results results() const {
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    const std::vector<bf16> gradient = gradient_.get();
    const int64_t pitch = p_.gradient_pitch();
    Results r{.out = columns(out_.get(), p_.out_pitch(), 0, p_.width_),
              .dq = columns(gradient, pitch, 0, p_.width_),
              .dk = columns(gradient, pitch, p_.width_, p_.kv_width_),
              .dv = columns(gradient, pitch, p_.width_ + p_.kv_width_, p_.kv_width_)};
    const std::vector<float> lse = lse_.get();
    const int64_t heads = p_.s_.heads, tokens = p_.s_.tokens;
    for (int64_t i = 0; i < p_.s_.batch * heads * tokens; ++i) {
      const int64_t t = i % tokens, h = i / tokens % heads, b = i / tokens / heads;
      // Of packed rows it lies as [B*T, H].
      r.lse.push_back(lse[static_cast<size_t>(p_.s_.packed() ? (b * tokens + t) * heads + h : i)]);
    }
    return r;
  }

  const Problem& p_;
  AttentionLibrary& library_;
  AttentionProblem forward_, backward_;
  OnDevice<bf16> qkv_, dout_;
  OnDevice<int32_t> starts_;
  OnDevice<bf16> out_, gradient_;
  OnDevice<float> lse_;
  int64_t bytes_;
  OnDevice<uint8_t> workspace_;
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
  const AttentionLibrary::Plan *forward_plan_ = nullptr, *backward_plan_ = nullptr;
};

// out and dv: the probabilities are rounded to bf16 (2^-9 each) before the product and the sum once after it,
// in independent directions: 2^-8 at most. dq and dk go through ds = p (dp - delta), with delta from the
// rounded out, where dp and delta are each some four times as long as what is left of them. lse is all float:
// scores of 128 terms of order one, and the GPU's exp2 and log2 to 2^-21.
void expect_close(const Results& got, const Results& expected) {
  EXPECT_LE(distance(got.out, expected.out), 0x1p-8);
  EXPECT_LE(distance(got.lse, expected.lse), 0x1p-14);
  // A token that sees itself alone has none: what is left are roundings.
  const double floor = length_of(expected.dv) / 8;
  EXPECT_LE(distance(got.dq, expected.dq, floor), 0x1p-6);
  EXPECT_LE(distance(got.dk, expected.dk, floor), 0x1p-6);
  EXPECT_LE(distance(got.dv, expected.dv), 0x1p-7);
}

// True, and the test is skipped, where the machine or the build is without cuDNN; any other refusal fails.
bool is_without(const std::string& refusal) {
  return refusal.find("without cuDNN") != std::string::npos || refusal.find("libcudnn") != std::string::npos;
}

class CudnnAttention : public testing::TestWithParam<Case> {};

TEST_P(CudnnAttention, AgreesWithTheDefinition) {
  LETHE_NEEDS_GPU();
  const Problem problem(GetParam());
  AttentionLibrary library;
  OnGpu gpu(problem, library);
  const std::string refusal = gpu.refusal();
  if (is_without(refusal)) GTEST_SKIP() << refusal;
  ASSERT_EQ(refusal, "");
  expect_close(gpu.run(), problem.expected(starts_of(GetParam())));
  gpu.expect_gaps_untouched();
}

// One plan and one graph for any packing: the starts change between replays.
TEST_P(CudnnAttention, ReplaysAGraphOverOtherDocuments) {
  LETHE_NEEDS_GPU();
  const Problem problem(GetParam());
  AttentionLibrary library;
  OnGpu gpu(problem, library);
  const std::string refusal = gpu.refusal();
  if (is_without(refusal)) GTEST_SKIP() << refusal;
  ASSERT_EQ(refusal, "");
  gpu.run();
  for (const size_t shift : {0, 1, 2}) {
    const std::vector<int32_t> starts = starts_of(GetParam(), shift);
    expect_close(gpu.replay(starts), problem.expected(starts));
  }
}

const std::vector<int64_t> kLengths{1, 129, 7, 64, 300, 1, 1, 33};

INSTANTIATE_TEST_SUITE_P(
    Shapes, CudnnAttention,
    testing::Values(Case{"dense_7", {2, 7, 4, 4, 64, 0, 2}, {}},
                    Case{"dense_129", {3, 129, 2, 2, 128, 0, 3}, {}},
                    Case{"dense_256", {1, 256, 2, 2, 128, 0, 1}, {}, 192},
                    Case{"dense_1025", {1, 1025, 2, 2, 64, 0, 1}, {}, 8},
                    Case{"grouped_129", {2, 129, 6, 2, 64, 0, 2}, {}, 192},
                    Case{"grouped_1025", {1, 1025, 4, 1, 128, 0, 1}, {}},
                    Case{"grouped_deterministic", {2, 384, 6, 2, 64, 0, 2, true}, {}, 192},
                    Case{"window_1", {1, 130, 2, 2, 64, 1, 1}, {}},
                    Case{"window_70", {2, 257, 4, 2, 128, 70, 2}, {}, 64},
                    Case{"window_longer_than_the_row", {1, 129, 2, 2, 64, 500, 1}, {}},
                    Case{"packed_130", {2, 130, 2, 2, 64, 0, 16}, kLengths},
                    Case{"packed_1025", {2, 1025, 2, 2, 128, 0, 64}, kLengths, 192},
                    Case{"packed_grouped", {2, 1025, 8, 2, 64, 0, 64}, kLengths, 192},
                    Case{"packed_window", {2, 515, 4, 2, 128, 50, 32}, kLengths},
                    Case{"packed_rows_of_one_document", {2, 384, 4, 2, 64, 0, 16}, {384}}),
    [](const auto& row) { return row.param.name; });

TEST(CudnnAttention, GivesTheSameBitsWhereThatIsAsked) {
  LETHE_NEEDS_GPU();
  const Case c{"deterministic", {2, 1025, 6, 2, 64, 0, 2, true}, {}, 192};
  const Problem problem(c);
  AttentionLibrary library;
  OnGpu gpu(problem, library);
  const std::string refusal = gpu.refusal();
  if (is_without(refusal)) GTEST_SKIP() << refusal;
  ASSERT_EQ(refusal, "");
  const Results first = gpu.run();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(gpu.run() == first);
  EXPECT_TRUE(gpu.replay(starts_of(c)) == first);
}

// As a program: parts of one buffer, the workspace that was planned, cuDNN or what stands in for it.
TEST(CudnnAttention, AgreesAsAnOperationOfAProgram) {
  LETHE_NEEDS_GPU();
  struct Variant {
    AttentionShape shape;
    std::vector<int64_t> lengths;
  };
  const Variant variants[] = {{{2, 1, 2, 2, 64, 0, 2}, {}},
                              {{2, 150, 6, 2, 64, 0, 2}, {}},
                              {{2, 150, 6, 2, 64, 0, 2, true}, {}},
                              {{2, 150, 2, 2, 80, 0, 32}, {37, 1, 60}},
                              {{2, 150, 4, 2, 128, 40, 32}, {37, 1, 60}},
                              {{2, 150, 4, 2, 128, 0, 32, true}, {37, 1, 60}}};
  for (const Variant& variant : variants) {
    const AttentionShape s = variant.shape;
    const OpCase op_case{
        "attention", [&](CaseBuilder& b) {
          const int64_t rows = s.batch * s.tokens, d = s.head_dim;
          const Var parameter = b.parameter("qkv", {rows, (s.heads + 2 * s.kv_heads) * d}, 0.7);
          const Var qkv = b.tape().tensor(b.tape().info(parameter).shape, b.dtype(), "merged");
          ops::copy(b.tape(), parameter, {qkv});
          const Var q = b.tape().columns(qkv, 0, s.heads * d, "q");
          const Var k = b.tape().columns(qkv, s.heads * d, s.kv_heads * d, "k");
          const Var v = b.tape().columns(qkv, (s.heads + s.kv_heads) * d, s.kv_heads * d, "v");
          const Var starts = b.integers("starts", {rows}, starts_of({"", s, variant.lengths}));
          return std::vector<Var>{
              ops::attention(b.tape(), q, k, v, starts, s, "attention", s.heads * d + 64)};
        }};
    const auto run = [&](std::unique_ptr<Backend> backend) {
      const BuiltCase built = build_case(op_case, DType::bf16, std::move(backend));
      for (int i = 0; i < 3; ++i) built.session->run(0);
      return loss_and_gradients(*built.session, "loss");
    };
    const Found expected = run(make_cpu_backend({.threads = 2})), got = run(make_cuda_backend());
    for (const auto& [name, values] : expected) {
      if (name == "loss") continue;
      // As in expect_close.
      EXPECT_LE(distance(got.at(name), values, 1.0), 0x1p-6) << name << s.documents;
    }
  }
}

}  // namespace
}  // namespace lethe::test
