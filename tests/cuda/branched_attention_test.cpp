// Texts that branch, on the GPU beside the CPU.
#include "engine/ops/attention.h"
#include "engine/ops/copy.h"
#include "engine/rng.h"
#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

// Three texts of a beginning and branches, of lengths that meet the tiles' ends in many ways.
struct Places {
  std::vector<int32_t> starts, hidden;

  Places() {
    std::vector<int32_t> from, to;
    for (const auto& [beginning, branches] : std::vector<std::pair<int32_t, std::vector<int32_t>>>{
             {70, {5, 130, 1}}, {1, {64, 64, 64}}, {200, {60, 3, 128}}}) {
      const auto start = static_cast<int32_t>(starts.size());
      const auto append = [&, first = beginning](int32_t count, int32_t hidden_to) {
        starts.insert(starts.end(), static_cast<size_t>(count), start);
        from.insert(from.end(), static_cast<size_t>(count), start + first);
        to.insert(to.end(), static_cast<size_t>(count), hidden_to);
      };
      append(beginning, start);
      for (const int32_t length : branches) append(length, static_cast<int32_t>(starts.size()));
    }
    hidden = from;
    hidden.insert(hidden.end(), to.begin(), to.end());
  }
};

std::vector<double> attended(DType dtype, int64_t head_dim, std::unique_ptr<Backend> backend) {
  const Places places;
  const auto tokens = std::ssize(places.starts);
  constexpr int64_t kHeads = 4, kKvHeads = 2;
  auto state = std::make_unique<State>();
  const auto declare = [&](const char* name, DType type, const Shape& shape) {
    state->declare({.name = name, .dtype = type, .shape = shape, .kind = Kind::input});
  };
  declare("q", dtype, {tokens, kHeads * head_dim});
  declare("k", dtype, {tokens, kKvHeads * head_dim});
  declare("v", dtype, {tokens, kKvHeads * head_dim});
  declare("starts", DType::i32, {tokens});
  declare("hidden", DType::i32, {2 * tokens});
  declare("out", dtype, {tokens, kHeads * head_dim});
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::make_unique<Tape>(*state, "branches"));
  Tape& tape = *tapes[0];
  const Var y = ops::attention(
      tape, tape.persistent("q"), tape.persistent("k"), tape.persistent("v"), tape.persistent("starts"),
      {.batch = 1, .tokens = tokens, .heads = kHeads, .kv_heads = kKvHeads, .head_dim = head_dim},
      "attention", 0, tape.persistent("hidden"));
  ops::copy(tape, y, {tape.persistent("out")});
  Session session(std::move(state), std::move(tapes), std::move(backend));
  uint32_t stream = 1;
  for (const char* name : {"q", "k", "v"}) {
    std::vector<double> values(static_cast<size_t>(session.buffer(name).rows * session.buffer(name).width));
    for (size_t i = 0; i < values.size(); ++i) values[i] = Rng(3, stream).normal(i);
    ++stream;
    set_host_values(session, name, values);
  }
  session.set<int32_t>("starts", places.starts);
  session.set<int32_t>("hidden", places.hidden);
  session.run(0);
  return host_values(session, "out");
}

// The bound of tests/kernels/attention_test.cpp for both sides; bf16 rounds the weights too before they meet
// the values, and what is stored.
TEST(CudaBranchedAttention, IsTheCpus) {
  LETHE_NEEDS_GPU();
  for (const int64_t head_dim : {16, 64, 80, 128}) {
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      const double unit = dtype == DType::f64 ? 0x1p-53 : 0x1p-24;
      const double bound =
          2 * 10 * (static_cast<double>(head_dim) + 27) * unit + (dtype == DType::bf16 ? 4 * 0x1p-8 : 0);
      EXPECT_LE(distance(attended(dtype, head_dim, make_cuda_backend()),
                         attended(dtype, head_dim, make_cpu_backend())),
                bound)
          << head_dim;
    }
  }
}

}  // namespace
}  // namespace lethe::test
