// Divergences on the GPU beside the CPU's.
#include "engine/ops/kl_divergence.h"

#include "engine/rng.h"
#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

constexpr int64_t kRows = 37;

std::vector<double> divergences(DType dtype, int64_t width, std::unique_ptr<Backend> backend) {
  auto state = std::make_unique<State>();
  for (const char* name : {"p", "q"})
    state->declare({.name = name, .dtype = dtype, .shape = {kRows, width}, .kind = Kind::input});
  state->declare({.name = "labels", .dtype = DType::i32, .shape = {kRows}, .kind = Kind::input});
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::make_unique<Tape>(*state, "divergence"));
  Tape& tape = *tapes[0];
  const Var y =
      ops::kl_divergence(tape, tape.persistent("p"), tape.persistent("q"), tape.persistent("labels"));
  tape.keep(y);
  Session session(std::move(state), std::move(tapes), std::move(backend));
  std::vector<double> values(static_cast<size_t>(kRows * width));
  for (const uint32_t stream : {1U, 2U}) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = 4 * Rng(3, stream).normal(i);
    set_host_values(session, stream == 1 ? "p" : "q", values);
  }
  std::vector<int32_t> labels(kRows, 0);
  labels[5] = -100;
  session.set<int32_t>("labels", labels);
  session.run(0);
  const Buffer b = session.buffer(0, y);
  std::vector<double> found(kRows);
  if (b.dtype == DType::f64) {
    session.backend().download(found.data(), b.data, kRows * int64_t{sizeof(double)});
  } else {
    std::vector<float> narrow(kRows);
    session.backend().download(narrow.data(), b.data, kRows * int64_t{sizeof(float)});
    found.assign(narrow.begin(), narrow.end());
  }
  return found;
}

// Both round terms of up to 4 * 5 * 2 standard deviations of the logits, to 4 units in the last place of the
// type that is computed in; a thread of the GPU adds up to 96 of them in it, one after another.
TEST(CudaKlDivergence, IsTheCpus) {
  LETHE_NEEDS_GPU();
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const double unit = dtype == DType::f64 ? 0x1p-52 : 0x1p-23;
    for (const int64_t width : {1, 31, 1025, 49152}) {
      const auto gpu = divergences(dtype, width, make_cuda_backend()),
                 cpu = divergences(dtype, width, make_cpu_backend());
      for (size_t i = 0; i < cpu.size(); ++i) EXPECT_NEAR(gpu[i], cpu[i], (4 + 96) * 40 * unit) << width;
      EXPECT_EQ(gpu[5], 0);
    }
  }
}

}  // namespace
}  // namespace lethe::test
