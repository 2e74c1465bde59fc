// Attention over kept keys and values on the GPU against the CPU's, of the same stored numbers.
#include "tests/engine/cached_attention.h"

#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

class CudaCachedAttention : public testing::TestWithParam<CachedCase> {};

// Outputs are means of values. In float each carries the score's error, D roundings of products of order one
// and the GPU's exp to 2^-21: 2^-16 for up to 128 of them. bf16 rounds the same mean once more, on both
// sides.
TEST_P(CudaCachedAttention, AgreesWithTheCpu) {
  LETHE_NEEDS_GPU();
  const CachedCase& c = GetParam();
  const CachedInputs inputs(c);
  const std::vector<double> truth = cached_outputs<double>(c, inputs, make_cpu_backend({.threads = 2}));
  EXPECT_LE(distance(cached_outputs<double>(c, inputs, make_cuda_backend()), truth), 1e-13);
  EXPECT_LE(distance(cached_outputs<float>(c, inputs, make_cuda_backend()), truth), 0x1p-16);
  EXPECT_LE(distance(cached_outputs<bf16>(c, inputs, make_cuda_backend()), truth), 0x1p-8);
}

INSTANTIATE_TEST_SUITE_P(Shapes, CudaCachedAttention, testing::ValuesIn(cached_cases()),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace lethe::test
