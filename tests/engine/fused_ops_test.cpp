// Fused operations have the bits of the composites that they replace, and refuse what they were not made for.
#include <gtest/gtest.h>

#include "engine/backward.h"
#include "engine/host_values.h"
#include "engine/ops/add.h"
#include "engine/ops/copy.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/linear.h"
#include "engine/ops/mul.h"
#include "engine/ops/rmsnorm.h"
#include "engine/ops/silu.h"
#include "engine/ops/sum.h"
#include "engine/ops/weighted_sum.h"
#include "tests/engine/op_cases.h"
#include "tests/engine/training_loss.h"

namespace lethe::test {
namespace {

using Found = std::map<std::string, std::vector<double>>;

Found gradients_of(const OpCase& op_case, DType dtype) {
  const BuiltCase built = build_case(op_case, dtype, 2);
  built.session->run(0);
  Found found{{"loss", host_values(*built.session, "loss")}};
  for (const std::string& name : built.parameters)
    found[name] = host_values(*built.session, State::gradient_name(name));
  return found;
}

OpCase residual_block(int64_t width, int64_t pitch, bool fused, bool again) {
  return {"residual_block", [=](CaseBuilder& b) {
            Tape& tape = b.tape();
            // Copies: in bf16 a gradient that goes straight to a parameter is float.
            const auto activation = [&](const std::string& name, Shape shape) {
              const Var made = tape.tensor(shape, b.dtype(), name + ".activation");
              ops::copy(tape, b.parameter(name, shape), {made});
              return made;
            };
            const Var x = activation("x", {5, width}), y = activation("y", {5, width});
            const Var gain = activation("gain", {width});
            ops::AddRmsNorm made;
            if (fused) {
              made = ops::add_rmsnorm(tape, x, y, gain, 1e-5, "z", "n", pitch);
            } else {
              made.sum = ops::add(tape, x, y, "z");
              made.norm = ops::rmsnorm(tape, made.sum, gain, 1e-5, "n", pitch);
            }
            for (Node& node : tape.nodes()) node.remade = again && node.remake.op != nullptr;
            const Var branch = ops::mul(tape, made.norm, made.norm, "branch");
            return std::vector<Var>{ops::add(tape, made.sum, branch, "out")};
          }};
}

TEST(AddRmsNorm, IsTheAdditionAndTheNorm) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const int64_t width : {1, 7, 64, 1025}) {
      const Found composite = gradients_of(residual_block(width, 0, false, false), dtype);
      EXPECT_EQ(gradients_of(residual_block(width, 0, true, false), dtype), composite) << width;
      EXPECT_EQ(gradients_of(residual_block(width, width + 3, true, true), dtype), composite) << width;
      EXPECT_EQ(gradients_of(residual_block(width, width + 3, false, true), dtype), composite) << width;
    }
  }
}

// What is made again takes no part in the sum: one pass from what was kept.
TEST(AddRmsNorm, IsMadeAgainFromTheSumThatWasKept) {
  State state;
  Tape tape(state, "test");
  const Var w = tape.persistent(state.declare({.name = "w", .shape = {4, 8}, .trainable = true}));
  const Var gain = tape.persistent(state.declare({.name = "gain", .shape = {8}, .trainable = true}));
  const Var x = ops::silu(tape, w, "x"), y = ops::silu(tape, w, "y");
  const ops::AddRmsNorm made = ops::add_rmsnorm(tape, x, y, gain, 1e-5);
  const Var loss = tape.tensor({1}, DType::f32, "loss"), seed = tape.tensor({1}, DType::f32, "seed");
  ops::sum(tape, ops::mul(tape, made.norm, made.norm), {loss});
  for (Node& node : tape.nodes()) node.remade = node.remake.op != nullptr;
  backward(tape, loss, {.seed = seed});
  std::vector<std::string> again;
  for (const Node& node : tape.nodes())
    if (node.phase == Phase::recompute) again.emplace_back(node.op->name());
  EXPECT_EQ(again, std::vector<std::string>{"rmsnorm_again"});
}

TEST(CrossEntropyTraining, IsTheForwardAndTheGradient) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const int64_t vocabulary : {1, 13, 1025}) {
      const TrainingLoss fused{.rows = 7, .vocabulary = vocabulary, .fused = true};
      const TrainingLoss composite{.rows = 7, .vocabulary = vocabulary, .fused = false};
      const auto found = fused.run(dtype, make_cpu_backend({.threads = 2}));
      EXPECT_EQ(found, composite.run(dtype, make_cpu_backend({.threads = 2}))) << vocabulary;
      EXPECT_EQ(found, fused.run(dtype, make_cpu_backend({.threads = 1}))) << vocabulary;
    }
  }
}

class CrossEntropyTrainingOf : public testing::Test {
 protected:
  Var persistent(const std::string& name, Shape shape, DType dtype = DType::f32, bool trainable = false) {
    return tape.persistent(
        state.declare({.name = name, .dtype = dtype, .shape = std::move(shape), .trainable = trainable}));
  }
  State state;
  Tape tape{state, "test"};
  Var labels = persistent("labels", {3}, DType::i32), seed = persistent("seed", {1});
  Var logits =
      ops::linear(tape, persistent("x", {3, 2}), persistent("w", {5, 2}, DType::f32, true), "logits");
  Var loss = tape.tensor({1}, DType::f32, "loss");
};

TEST_F(CrossEntropyTrainingOf, RefusesAnotherSeed) {
  ops::sum(tape, ops::cross_entropy_training(tape, logits, labels, seed), {loss});
  EXPECT_THROW(backward(tape, loss, {.seed = persistent("other", {1})}), ShapeError);
}
TEST_F(CrossEntropyTrainingOf, RefusesLossesThatAreNotJustSummed) {
  const Var losses = ops::cross_entropy_training(tape, logits, labels, seed);
  ops::weighted_sum(tape, losses, persistent("weights", {3}), {loss});
  EXPECT_THROW(backward(tape, loss, {.seed = seed}), ShapeError);
}
TEST_F(CrossEntropyTrainingOf, RefusesLogitsThatOthersRead) {
  const Var losses = ops::cross_entropy_training(tape, logits, labels, seed);
  ops::sum(tape, losses, {loss});
  ops::sum(tape, logits, {loss, Access::accumulate});
  EXPECT_THROW(backward(tape, loss, {.seed = seed}), ShapeError);
}
TEST_F(CrossEntropyTrainingOf, RefusesWhatDoesNotFit) {
  EXPECT_THROW(ops::cross_entropy_training(tape, logits, labels, persistent("two", {2})), ShapeError);
  EXPECT_THROW(ops::cross_entropy_training(tape, persistent("kept", {3, 5}), labels, seed), ShapeError);
  EXPECT_THROW(ops::cross_entropy_training(tape, logits, persistent("four", {4}, DType::i32), seed),
               ShapeError);
}

}  // namespace
}  // namespace lethe::test
