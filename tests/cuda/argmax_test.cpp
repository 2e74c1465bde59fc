// Places on the GPU are the CPU's: no rounding is in them.
#include "engine/ops/argmax.h"

#include "engine/rng.h"
#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

std::vector<int32_t> places(DType dtype, int64_t width, std::unique_ptr<Backend> backend) {
  constexpr int64_t kRows = 67;
  auto state = std::make_unique<State>();
  state->declare({.name = "x", .dtype = dtype, .shape = {kRows, width}, .kind = Kind::input});
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::make_unique<Tape>(*state, "argmax"));
  const Var y = ops::argmax(*tapes[0], tapes[0]->persistent("x"));
  tapes[0]->keep(y);
  Session session(std::move(state), std::move(tapes), std::move(backend));
  // Small whole numbers, many of them equal.
  std::vector<double> values(static_cast<size_t>(kRows * width));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(Rng(3, 1).below(i, 200)) - 100;
  set_host_values(session, "x", values);
  session.run(0);
  std::vector<int32_t> found(kRows);
  session.backend().download(found.data(), session.buffer(0, y).data, kRows * int64_t{sizeof(int32_t)});
  return found;
}

TEST(CudaArgmax, IsTheCpus) {
  LETHE_NEEDS_GPU();
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const int64_t width : {1, 31, 1025, 49152})
      EXPECT_EQ(places(dtype, width, make_cuda_backend()), places(dtype, width, make_cpu_backend()));
  }
}

}  // namespace
}  // namespace lethe::test
