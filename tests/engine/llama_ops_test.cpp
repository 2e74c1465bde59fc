// What the model's operations refuse, and how near bf16 storage stays to double.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/backward.h"
#include "engine/host_values.h"
#include "engine/ops/accuracy.h"
#include "engine/ops/add_linear.h"
#include "engine/ops/argmax.h"
#include "engine/ops/attention.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/embedding.h"
#include "engine/ops/linear.h"
#include "engine/ops/rope.h"
#include "engine/ops/weighted_sum.h"
#include "tests/engine/op_cases.h"

namespace lethe::test {

std::vector<OpCase> llama_op_cases();

namespace {

class LlamaOps : public testing::Test {
 protected:
  Var floats(Shape shape, DType dtype = DType::f32) { return tape.tensor(std::move(shape), dtype, "x"); }
  Var ints(Shape shape) { return tape.tensor(std::move(shape), DType::i32, "ids"); }
  Var weight(const std::string& name, Shape shape) {
    return tape.persistent(state.declare({.name = name, .shape = std::move(shape), .trainable = true}));
  }

  State state;
  Tape tape{state, "test"};
};

TEST_F(LlamaOps, RefuseShapesThatDoNotFit) {
  EXPECT_THROW(ops::linear(tape, floats({3, 4}), floats({2, 5})), ShapeError);
  EXPECT_THROW(ops::linear(tape, floats({3, 4}), floats({2, 4}, DType::f64)), ShapeError);
  EXPECT_THROW(ops::linear(tape, ints({3, 4}), floats({2, 4})), ShapeError);
  EXPECT_THROW(ops::add_linear(tape, floats({3, 3}), floats({3, 4}), floats({2, 4}), 1), ShapeError);
  EXPECT_THROW(ops::embedding(tape, floats({3}), floats({5, 4}), DType::f32), ShapeError);
  EXPECT_THROW(ops::embedding(tape, ints({3}), floats({5, 4}), DType::f64), ShapeError);
  EXPECT_THROW(ops::cross_entropy(tape, floats({3, 4}), ints({2})), ShapeError);
  EXPECT_THROW(ops::accuracy(tape, floats({3, 4}), floats({3})), ShapeError);
  EXPECT_THROW(ops::accuracy(tape, floats({3, 4}), ints({3}), {floats({1})}), ShapeError);
  EXPECT_THROW(ops::argmax(tape, ints({3, 4})), ShapeError);
  EXPECT_THROW(ops::argmax(tape, floats({3})), ShapeError);
  EXPECT_THROW(ops::rope(tape, floats({3, 8}), ints({3}), floats({5, 6}), 2, 4), ShapeError);
  EXPECT_THROW(ops::rope(tape, floats({3, 6}), ints({3}), floats({5, 3}), 2, 3), ShapeError);
  EXPECT_THROW(ops::rope(tape, weight("w", {3, 4}), ints({3}), floats({5, 4}), 1, 4), ShapeError);
}

TEST_F(LlamaOps, RefuseAttentionOverWhatIsNoAttention) {
  const auto attend = [&](Shape q, Shape k, int64_t heads, int64_t kv_heads, int64_t starts) {
    const ops::AttentionShape s{.batch = 1, .tokens = 3, .heads = heads, .kv_heads = kv_heads, .head_dim = 2};
    ops::attention(tape, floats(q), floats(k), floats(k), ints({starts}), s);
  };
  EXPECT_NO_THROW(attend({3, 8}, {3, 4}, 4, 2, 3));
  EXPECT_THROW(attend({3, 8}, {3, 8}, 4, 2, 3), ShapeError);
  EXPECT_THROW(attend({3, 8}, {3, 6}, 4, 3, 3), ShapeError);
  EXPECT_THROW(attend({4, 8}, {4, 4}, 4, 2, 3), ShapeError);
  EXPECT_THROW(attend({3, 8}, {3, 4}, 4, 2, 2), ShapeError);
  const ops::AttentionShape too_few{
      .batch = 3, .tokens = 1, .heads = 1, .kv_heads = 1, .head_dim = 2, .documents = 2};
  EXPECT_THROW(ops::attention(tape, floats({3, 2}), floats({3, 2}), floats({3, 2}), ints({3}), too_few),
               ShapeError);
}

TEST_F(LlamaOps, AttentionRefusesDropoutThatIsNone) {
  const ops::AttentionShape s{.batch = 1, .tokens = 3, .heads = 1, .kv_heads = 1, .head_dim = 2};
  const auto one = [&](DType dtype) { return tape.tensor({1}, dtype, "one"); };
  const auto attend = [&](double rate, DType seed, Var hidden) {
    const ops::AttentionDropout dropout{
        .rate = rate, .random = {.seed = one(seed), .step = one(DType::i64), .first_row = one(DType::i64)}};
    ops::attention(tape, floats({3, 2}), floats({3, 2}), floats({3, 2}), ints({3}), s, "a", 0, hidden,
                   dropout);
  };
  EXPECT_NO_THROW(attend(0.5, DType::i64, {}));
  for (const double rate : {-0.1, 1.0, std::nan("")}) EXPECT_THROW(attend(rate, DType::i64, {}), ConfigError);
  EXPECT_THROW(attend(0.5, DType::i32, {}), ShapeError);
  EXPECT_NO_THROW(attend(0, DType::i64, ints({6})));
  EXPECT_THROW(attend(0.5, DType::i64, ints({6})), ConfigError);
}

TEST_F(LlamaOps, AttentionsRowsLieAsFarApartAsIsAsked) {
  const ops::AttentionShape s{.batch = 1, .tokens = 3, .heads = 4, .kv_heads = 2, .head_dim = 2};
  const auto attend = [&](int64_t pitch) {
    return tape.info(
        ops::attention(tape, floats({3, 8}), floats({3, 4}), floats({3, 4}), ints({3}), s, "a", pitch));
  };
  EXPECT_EQ(attend(0).pitch, 8);
  EXPECT_EQ(attend(13).pitch, 13);
  EXPECT_EQ(attend(13).shape, (Shape{3, 8}));
}

TEST_F(LlamaOps, AGradientInTwoPlacesIsRefusedRatherThanHalved) {
  const Var y = ops::linear(tape, floats({3, 4}), weight("w", {6, 4}), "y");
  const Var loss = tape.tensor({1}, DType::f32, "loss"), seed = tape.tensor({1}, DType::f32, "seed");
  ops::weighted_sum(tape, y, floats({3, 6}), {loss});
  ops::weighted_sum(tape, tape.columns(y, 0, 2, "part"), floats({3, 2}), {loss, Access::accumulate});
  EXPECT_THROW(backward(tape, loss, {.seed = seed}), ShapeError);
}

class Bf16 : public testing::TestWithParam<OpCase> {};

// Each stored value is off by up to 2^-9 of itself; through the few products, sums and exponentials of scores
// up to some 10 in these cases a gradient moves by a few percent of its length, an error in a conversion by
// all of it.
TEST_P(Bf16, GradientsStayNearThoseInDouble) {
  const auto gradients = [&](DType dtype) {
    const BuiltCase built = build_case(GetParam(), dtype, 2);
    built.session->run(0);
    std::vector<double> all;
    for (const std::string& name : built.parameters) {
      const std::vector<double> g = host_values(*built.session, State::gradient_name(name));
      all.insert(all.end(), g.begin(), g.end());
    }
    return all;
  };
  const std::vector<double> exact = gradients(DType::f64), rough = gradients(DType::bf16);
  ASSERT_EQ(exact.size(), rough.size());
  double difference = 0, norm = 1e-6;
  for (size_t i = 0; i < exact.size(); ++i) {
    difference += (exact[i] - rough[i]) * (exact[i] - rough[i]);
    norm += exact[i] * exact[i];
  }
  EXPECT_LT(std::sqrt(difference / norm), 0.1);
}

INSTANTIATE_TEST_SUITE_P(Op, Bf16, testing::ValuesIn(llama_op_cases()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace lethe::test
