// Documents packed into a row, and each alone: the library's attention, and our own where it is not asked.
#include "tests/run/alone.h"

#include "tests/cuda/compare.h"

namespace lethe::test {
namespace {

struct PackedModel {
  const char* name;
  DType dtype;
  int64_t head_dim;
  bool deterministic = false;  // with documents: not the library's
  int64_t window = 0;
};

void PrintTo(const PackedModel& model, std::ostream* out) {
  *out << model.name;
}

class CudaAlone : public testing::TestWithParam<PackedModel> {};

// Both sides round each of some 10 results a layer that join the residual stream, by 2^-9 of its size in bf16
// and 2^-24 in float: sqrt(2 * 10 * 2 layers) of those as independent errors, and the largest of some 10^5
// logits within 5 deviations: 5 * sqrt(40) = 32 roundoffs.
TEST_P(CudaAlone, DocumentsPackedHaveTheLogitsTheyHaveAlone) {
  LETHE_NEEDS_GPU();
  const PackedModel& m = GetParam();
  ProgramSpec spec = tiny_spec(m.dtype);
  spec.config.hidden_size = 4 * m.head_dim;
  spec.config.intermediate_size = 96;
  spec.config.num_attention_heads = 4;
  spec.config.num_key_value_heads = 2;
  spec.config.head_dim = m.head_dim;
  spec.config.vocab_size = 257;
  spec.config.sliding_window = m.window;
  spec.config.initializer_range = 0.04;
  spec.deterministic = m.deterministic;
  const double roundoff = m.dtype == DType::bf16 ? 0x1p-9 : 0x1p-24;
  EXPECT_LT(packed_against_alone(spec, {37, 1, 64, 130, 5, 19}, [] { return make_cuda_backend(); }),
            32 * roundoff);
}

INSTANTIATE_TEST_SUITE_P(Models, CudaAlone,
                         testing::Values(PackedModel{"library_64", DType::bf16, 64},
                                         PackedModel{"library_128", DType::bf16, 128},
                                         PackedModel{"library_128_window", DType::bf16, 128, false, 20},
                                         PackedModel{"own_64", DType::bf16, 64, true},
                                         PackedModel{"own_80", DType::bf16, 80, true},
                                         PackedModel{"own_float", DType::f32, 64},
                                         PackedModel{"own_float_window", DType::f32, 64, false, 20}),
                         [](const auto& model) { return std::string(model.param.name); });

}  // namespace
}  // namespace lethe::test
