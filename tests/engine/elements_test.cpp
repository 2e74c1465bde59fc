// What the table of operations cannot say: mixed dtypes, refusals, the clip factor.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/backward.h"
#include "engine/ops/add.h"
#include "engine/ops/cast.h"
#include "engine/ops/dropout.h"
#include "engine/ops/fill.h"
#include "engine/ops/gradient_norm.h"
#include "engine/ops/sum.h"
#include "engine/ops/swiglu.h"
#include "engine/ops/update.h"
#include "engine/session.h"

namespace lethe {
namespace {

struct Program {
  Var tensor(const std::string& name, Shape shape, DType dtype, bool trainable = false) {
    return tape->persistent(
        state->declare({.name = name, .dtype = dtype, .shape = std::move(shape), .trainable = trainable}));
  }
  std::unique_ptr<Session> start() {
    std::vector<std::unique_ptr<Tape>> tapes;
    tapes.push_back(std::move(tape));
    return std::make_unique<Session>(std::move(state), std::move(tapes), make_cpu_backend({.threads = 2}));
  }
  std::unique_ptr<State> state = std::make_unique<State>();
  std::unique_ptr<Tape> tape = std::make_unique<Tape>(*state, "test");
};

TEST(Cast, GradientReturnsInTheInputsDtype) {
  Program p;
  const Var x = p.tensor("x", {3}, DType::f32, true);
  const Var narrow = ops::cast(*p.tape, x, DType::bf16, "narrow");
  const Var wide = ops::cast(*p.tape, narrow, DType::f64, "wide");
  const Var loss = p.tensor("loss", {1}, DType::f64), seed = p.tensor("seed", {1}, DType::f32);
  ops::sum(*p.tape, wide, {loss});
  backward(*p.tape, loss, {.seed = seed});
  const auto session = p.start();
  session->set<float>("x", {1.0f, 2.0f, 1 + 0x1p-9f});  // the last rounds to 1 in bf16
  session->set<float>("seed", {0.25f});
  session->run(0);
  EXPECT_EQ(session->get<double>("loss")[0], 4.0);
  EXPECT_EQ(session->get<float>("gradient/x"), (std::vector<float>{0.25f, 0.25f, 0.25f}));
}

TEST(Cast, ToItsOwnDtypeIsTheTensorItself) {
  Program p;
  const Var x = p.tensor("x", {3}, DType::f32);
  EXPECT_EQ(ops::cast(*p.tape, x, DType::f32), x);
  EXPECT_THROW(ops::cast(*p.tape, x, DType::i32), ShapeError);
}

TEST(Sum, AddsTheLossesOfMicroBatchesInDouble) {
  Program p;
  const Var x = p.tensor("x", {2, 3}, DType::f32), total = p.tensor("total", {1}, DType::f64);
  ops::sum(*p.tape, x, {total, Access::accumulate});
  const auto session = p.start();
  session->set<float>("x", {1, 2, 3, 4, 5, 6.5f});
  session->run(0);
  session->run(0);
  EXPECT_EQ(session->get<double>("total")[0], 43.0);
}

TEST(Fill, ReplacesEveryElement) {
  Program p;
  ops::fill(*p.tape, p.tensor("x", {2, 3}, DType::f32), 1.5);
  const auto session = p.start();
  session->run(0);
  EXPECT_EQ(session->get<float>("x"), std::vector<float>(6, 1.5f));
}

TEST(Dropout, WithProbabilityZeroIsTheTensorItself) {
  Program p;
  const Var x = p.tensor("x", {2, 3}, DType::f32), i = p.tensor("i", {1}, DType::i64);
  EXPECT_EQ(ops::dropout(*p.tape, x, 0, {i, i, i}, 1), x);
  EXPECT_THROW(ops::dropout(*p.tape, x, 1, {i, i, i}, 1), ConfigError);
  EXPECT_THROW(ops::dropout(*p.tape, x, -0.1, {i, i, i}, 1), ConfigError);
  EXPECT_THROW(ops::dropout(*p.tape, x, 0.1, {i, i, x}, 1), ShapeError);
}

TEST(ElementOps, NameBothShapesWhenTheyRefuse) {
  Program p;
  const Var x = p.tensor("x", {2, 3}, DType::f32), y = p.tensor("y", {3, 2}, DType::f32);
  try {
    ops::add(*p.tape, x, y, "residual");
    FAIL() << "accepted";
  } catch (const ShapeError& error) {
    const std::string what = error.what();
    for (const char* part : {"residual", "x [2, 3]", "y [3, 2]"}) {
      EXPECT_NE(what.find(part), std::string::npos) << what;
    }
  }
  EXPECT_THROW(ops::swiglu(*p.tape, x, p.tensor("z", {2, 3}, DType::bf16)), ShapeError);
}

TEST(GradientNorm, ClipsAsTorchDoes) {
  // The norm of (3, 4) and (12) is 13; at 2 the factor is 2 / (13 + 1e-6).
  for (const double max_norm : {0.0, 2.0, 20.0}) {
    Program p;
    const Var a = p.tensor("a", {2}, DType::f32), b = p.tensor("b", {1, 1}, DType::f64);
    const Var norm = p.tensor("norm", {1}, DType::f64), scale = p.tensor("scale", {1}, DType::f64);
    const Var squares = p.tape->tensor({2}, DType::f64, "squares");
    ops::squared_norm(*p.tape, a, p.tape->view(squares, 0, {1}, "a2"), "a2");
    ops::squared_norm(*p.tape, b, p.tape->view(squares, 1, {1}, "b2"), "b2");
    ops::finish_norm(*p.tape, squares, max_norm, norm, scale);
    const auto session = p.start();
    session->set<float>("a", {3, 4});
    session->set<double>("b", {12});
    session->run(0);
    EXPECT_EQ(session->get<double>("norm")[0], 13.0);
    EXPECT_EQ(session->get<double>("scale")[0], max_norm == 2 ? 2 / (13 + 1e-6) : 1.0);
    session->set<double>("b", {std::numeric_limits<double>::infinity()});
    session->run(0);
    EXPECT_TRUE(std::isinf(session->get<double>("norm")[0]));
    EXPECT_TRUE(std::isnan(session->get<double>("scale")[0])) << "the updates must be told to change nothing";
  }
}

TEST(Update, RefusesAParameterWiderThanItsOptimizerAndAMissingMaster) {
  Program p;
  const Var wide = p.tensor("wide", {2}, DType::f64), narrow = p.tensor("narrow", {2}, DType::bf16);
  const Var m = p.tensor("m", {2}, DType::f32), rate = p.tensor("rate", {1}, DType::f64);
  const Var count = p.tensor("count", {1}, DType::i64), g = p.tensor("g", {2}, DType::f32);
  const auto record = [&](Var parameter, Var master) {
    ops::adamw(*p.tape, {parameter, g, m, m, master}, {rate, count, rate}, {}, {count}, "update");
  };
  EXPECT_THROW(record(wide, {}), ShapeError);
  EXPECT_THROW(record(narrow, {}), ShapeError);
  EXPECT_THROW(record(g, m), ShapeError);
  EXPECT_NO_THROW(record(narrow, m));
  EXPECT_THROW(ops::lion(*p.tape, {g, g, m}, {rate, rate, rate}, {}, {count}, "update"), ShapeError);
}

}  // namespace
}  // namespace lethe
