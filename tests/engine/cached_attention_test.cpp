// Attention over kept keys and values against attention over whole rows, and a GPU's against the CPU's.
#include "tests/engine/cached_attention.h"

namespace lethe::test {
namespace {

class CachedAttention : public testing::TestWithParam<CachedCase> {};

// Both sum the same terms, in another order: 2^-52 times some hundred terms of order one.
TEST_P(CachedAttention, IsAttentionOverTheWholeRow) {
  const CachedCase& c = GetParam();
  const CachedInputs inputs(c);
  const std::vector<double> kept = cached_outputs<double>(c, inputs, make_cpu_backend({.threads = 2}));
  const std::vector<double> whole = whole_outputs(c, inputs);
  ASSERT_EQ(kept.size(), whole.size());
  for (size_t i = 0; i < kept.size(); ++i) ASSERT_NEAR(kept[i], whole[i], 1e-12) << i;
}

INSTANTIATE_TEST_SUITE_P(Shapes, CachedAttention, testing::ValuesIn(cached_cases()),
                         [](const auto& row) { return row.param.name; });

TEST(CachedAttention, RefusesWhatDoesNotFit) {
  State state;
  const auto declare = [&](const char* name, Shape shape, DType dtype) {
    return state.declare({.name = name, .dtype = dtype, .shape = std::move(shape), .kind = Kind::input});
  };
  declare("q", {3, 8}, DType::f32);
  declare("keys", {10, 4}, DType::f32);
  declare("values", {10, 4}, DType::f64);
  declare("rows", {3}, DType::i32);
  Tape tape(state, "test");
  const Var q = tape.persistent("q"), keys = tape.persistent("keys"), values = tape.persistent("values"),
            rows = tape.persistent("rows");
  const ops::CachedAttentionShape shape{.tokens = 3, .heads = 2, .kv_heads = 1, .head_dim = 4, .capacity = 5};
  EXPECT_NO_THROW(ops::cached_attention(tape, q, keys, keys, rows, shape));
  EXPECT_THROW(ops::cached_attention(tape, q, keys, values, rows, shape), ShapeError);
  auto other = shape;
  other.capacity = 4;
  EXPECT_THROW(ops::cached_attention(tape, q, keys, keys, rows, other), ShapeError);
  other = shape;
  other.tokens = 2;
  EXPECT_THROW(ops::cached_attention(tape, q, keys, keys, rows, other), ShapeError);
  EXPECT_THROW(ops::keep_rows(tape, q, rows, keys), ShapeError);
}

}  // namespace
}  // namespace lethe::test
