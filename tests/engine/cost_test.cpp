// The bytes of an operation are those that a perfect kernel moves.
#include <gtest/gtest.h>

#include "engine/backward.h"
#include "engine/ops/add.h"
#include "engine/ops/attention.h"
#include "engine/ops/copy.h"
#include "engine/ops/embedding.h"
#include "engine/ops/linear.h"
#include "engine/ops/rope.h"
#include "engine/ops/sum.h"

namespace lethe {
namespace {

struct Program {
  Var tensor(const std::string& name, Shape shape, DType dtype, bool trainable = false) {
    return tape.persistent(
        state.declare({.name = name, .dtype = dtype, .shape = std::move(shape), .trainable = trainable}));
  }
  double bytes(const std::string& op) {
    double found = 0;
    for (const Node& node : tape.nodes()) {
      if (node.op->name() == op) found += node.op->cost(node, tape).bytes;
    }
    return found;
  }
  State state;
  Tape tape{state, "test"};
};

TEST(Cost, AnInputThatIsGivenTwiceIsReadOnce) {
  Program p;
  const Var x = p.tensor("x", {4, 8}, DType::bf16);
  ops::add(p.tape, x, x, "twice");
  EXPECT_EQ(p.bytes("add"), 2 * 32 * 2);
}

TEST(Cost, WhatIsAccumulatedIsReadAsWell) {
  Program p;
  const Var x = p.tensor("x", {4, 8}, DType::f32), y = p.tensor("y", {4, 8}, DType::f32);
  ops::copy(p.tape, x, {y, Access::accumulate});
  EXPECT_EQ(p.bytes("copy"), 3 * 32 * 4);
}

TEST(Cost, RopeReadsAndWritesItsRowsOnceAndItsTable) {
  Program p;
  const Var x = p.tape.tensor({6, 8}, DType::bf16, "x"), positions = p.tensor("positions", {6}, DType::i32);
  const Var table = p.tensor("table", {6, 4}, DType::f32);
  ops::rope(p.tape, x, positions, table, 2, 4);
  EXPECT_EQ(p.bytes("rope"), 2 * 48 * 2 + 6 * 4 + 24 * 4);
}

// 5 tokens of a table of 100 rows of 8.
TEST(Cost, TheEmbeddingTouchesTheRowsThatAreNamed) {
  for (const auto write : {kernels::Write::overwrite, kernels::Write::accumulate}) {
    Program p;
    const Var ids = p.tensor("ids", {5}, DType::i32), table = p.tensor("table", {100, 8}, DType::bf16, true);
    const Var y = ops::embedding(p.tape, ids, table, DType::bf16, "embedding");
    const Var loss = p.tensor("loss", {1}, DType::f64), seed = p.tensor("seed", {1}, DType::f32);
    ops::sum(p.tape, y, {loss});
    backward(p.tape, loss, {.seed = seed, .parameter_gradients = write});
    EXPECT_EQ(p.bytes("embedding"), 5 * 4 + 5 * 8 * 2 + 5 * 8 * 2);
    const double table_bytes = write == kernels::Write::overwrite ? 100 * 8 * 4 : 2 * 5 * 8 * 4;
    EXPECT_EQ(p.bytes("embedding_backward"), 5 * 4 + 5 * 8 * 2 + table_bytes);
  }
}

// y [6, 7] = x [6, 8] W [7, 8]^T; dx = dy W; dW = dy^T x in float.
TEST(Cost, AProductMovesItsThreeMatrices) {
  Program p;
  const Var x = p.tensor("x", {6, 8}, DType::bf16), w = p.tensor("w", {7, 8}, DType::bf16, true);
  const Var y = ops::linear(p.tape, x, w, "linear");
  EXPECT_EQ(p.bytes("matmul_nt"), 2 * (6 * 8 + 7 * 8 + 6 * 7));
  const Var loss = p.tensor("loss", {1}, DType::f64), seed = p.tensor("seed", {1}, DType::f32);
  ops::sum(p.tape, y, {loss});
  backward(p.tape, loss, {.seed = seed});
  EXPECT_EQ(p.bytes("matmul_tn"), 2 * (6 * 7 + 6 * 8) + 4 * 7 * 8);
}

}  // namespace
}  // namespace lethe
