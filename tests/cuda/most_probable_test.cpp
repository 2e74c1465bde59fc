// The most probable token on the GPU and on the CPU, of the same stored logits.
#include "engine/ops/accuracy.h"
#include "engine/rng.h"
#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

std::vector<int32_t> found_by(std::unique_ptr<Backend> backend, DType dtype, int64_t rows, int64_t width) {
  auto state = std::make_unique<State>();
  state->declare({.name = "logits", .dtype = dtype, .shape = {rows, width}, .kind = Kind::input});
  auto tape = std::make_unique<Tape>(*state, "test");
  const Var found = ops::most_probable(*tape, tape->persistent("logits"));
  tape->keep(found);
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::move(tape));
  Session session(std::move(state), std::move(tapes), std::move(backend));
  // Few values, so that most rows have several that are largest.
  const Rng rng(3, 4);
  std::vector<double> logits(static_cast<size_t>(rows * width));
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<double>(rng.below(i, 90)) - 40;
  set_host_values(session, "logits", logits);
  session.run(0);
  std::vector<int32_t> indices(static_cast<size_t>(rows));
  session.backend().download(indices.data(), session.buffer(0, found).data, rows * 4);
  return indices;
}

TEST(CudaMostProbable, IsTheFirstOfEqualsAsOnTheCpu) {
  LETHE_NEEDS_GPU();
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const auto& [rows, width] : {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {7, 1031}, {64, 32000}}) {
      EXPECT_EQ(found_by(make_cuda_backend(), dtype, rows, width),
                found_by(make_cpu_backend({.threads = 2}), dtype, rows, width))
          << name_of(dtype) << " " << rows << " x " << width;
    }
  }
}

}  // namespace
}  // namespace lethe::test
