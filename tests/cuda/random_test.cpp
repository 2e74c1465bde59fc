// Random weights are the same on both devices.
#include "engine/ops/random.h"

#include <algorithm>

#include "engine/rng.h"
#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

// What a program of one node draws; columns 3 to 3 + width of a wider matrix where `inside`.
std::vector<double> drawn(std::unique_ptr<Backend> backend, DType dtype, int64_t rows, int64_t width,
                          bool inside, bool normal) {
  auto state = std::make_unique<State>();
  const Shape shape{rows, inside ? width + 8 : width};
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::make_unique<Tape>(*state, "test"));
  Tape& tape = *tapes[0];
  const Var whole = tape.persistent(state->declare({.name = "y", .dtype = dtype, .shape = shape}));
  const Var y = inside ? tape.columns(whole, 3, width, "part") : whole;
  const kernels::RandomStream random{7, stream_of("weight")};
  if (normal)
    ops::normal(tape, y, 0.02, random);
  else
    ops::uniform(tape, y, 0.02, random);
  Session session(std::move(state), std::move(tapes), std::move(backend));
  session.run(0);
  return host_values(session, "y");
}

// Both devices compute in double: a few last places of it, and where they meet a tie of the storage type, one
// of its roundings: 2^-24 or 2^-8 of the value, which for a normal of deviation 0.02 is below 0.2.
TEST(CudaRandom, DrawsWhatTheCpuDraws) {
  LETHE_NEEDS_GPU();
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const double place = dtype == DType::f64 ? 0x1p-48 : dtype == DType::f32 ? 0x1p-23 : 0x1p-7;
    for (const auto& [rows, width] : {std::pair<int64_t, int64_t>{1, 1}, {7, 64}, {33, 1025}, {0, 5}}) {
      for (const bool inside : {false, true}) {
        if (inside && rows == 0) continue;  // nothing lies inside of nothing
        for (const bool normal : {false, true}) {
          const auto expected = drawn(make_cpu_backend(), dtype, rows, width, inside, normal);
          const auto got = drawn(make_cuda_backend(), dtype, rows, width, inside, normal);
          ASSERT_EQ(got.size(), expected.size());
          for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 0.2 * place) << i;
          const auto unequal = std::ranges::mismatch(got, expected).in1 - got.begin();
          // Of float values hardly one lies so near a tie that the devices round it apart.
          if (dtype != DType::f64) {
            EXPECT_EQ(unequal, static_cast<std::ptrdiff_t>(got.size()));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lethe::test
