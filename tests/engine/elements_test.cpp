// What the table of operations cannot say: mixed dtypes, refusals, the clip factor.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/backward.h"
#include "engine/ops/add.h"
#include "engine/ops/cast.h"
#include "engine/ops/copy.h"
#include "engine/ops/copy_all.h"
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

struct NormProgram : Program {
  explicit NormProgram(double max_norm) {
    const Var a = tensor("a", {2}, DType::f32), b = tensor("b", {1, 1}, DType::f64);
    ops::gradient_norm(*tape, {a, b}, tensor("loss", {1}, DType::f64), max_norm,
                       {tensor("norm", {1}, DType::f64), tensor("scale", {1}, DType::f64),
                        tensor("halted", {1}, DType::i64)});
  }
};

TEST(GradientNorm, ClipsAsTorchDoes) {
  // The norm of (3, 4) and (12) is 13; at 2 the factor is 2 / (13 + 1e-6).
  for (const double max_norm : {0.0, 2.0, 20.0}) {
    NormProgram p(max_norm);
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

// The norm itself is clipped, not its square: at half of the limit nothing happens, at twice it the factor is
// a half, at ten times a tenth.
TEST(GradientNorm, IsClippedByItsLengthNotItsSquare) {
  NormProgram p(1);
  const auto session = p.start();
  session->set<float>("a", {0, 0});
  for (const double norm : {0.5, 2.0, 10.0}) {
    session->set<double>("b", {norm});
    session->run(0);
    EXPECT_EQ(session->get<double>("norm")[0], norm);
    EXPECT_EQ(session->get<double>("scale")[0], std::min(1.0, 1 / (norm + 1e-6)));
  }
}

TEST(GradientNorm, StaysHaltedUntilTheHostClearsIt) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  for (const auto& [loss, gradient] : {std::pair{1.0, inf}, {1.0, nan}, {inf, 1.0}, {nan, 1.0}}) {
    NormProgram p(1);
    const auto session = p.start();
    const auto run = [&](double l, double g) {
      session->set<double>("loss", {l});
      session->set<double>("b", {g});
      session->run(0);
      EXPECT_EQ(session->get<int64_t>("halted")[0], std::isnan(session->get<double>("scale")[0]) ? 1 : 0);
      return session->get<int64_t>("halted")[0];
    };
    session->set<float>("a", {0, 0});
    EXPECT_EQ(run(2, 1), 0);
    EXPECT_EQ(run(loss, gradient), 1);
    EXPECT_EQ(run(2, 1), 1);
    session->set<int64_t>("halted", {0});
    EXPECT_EQ(run(2, 1), 0);
  }
}

TEST(Update, RefusesDtypesItHasNoKernelFor) {
  Program p;
  const Var wide = p.tensor("wide", {2}, DType::f64), narrow = p.tensor("narrow", {2}, DType::bf16);
  const Var m = p.tensor("m", {2}, DType::f32), rate = p.tensor("rate", {1}, DType::f64);
  const Var count = p.tensor("count", {1}, DType::i64), g = p.tensor("g", {2}, DType::f32);
  const Var low = p.tensor("low", {2}, DType::u16), long_one = p.tensor("long", {3}, DType::f32);
  const auto record = [&](const ops::UpdateTensors& tensors, Var seed = {}, size_t groups = 1) {
    ops::adamw(*p.tape, {tensors}, {rate, count, rate, seed}, std::vector<kernels::UpdateConstants>(groups),
               {count}, "update");
  };
  EXPECT_THROW(record({wide, g, m, m}), ShapeError) << "wider than its moments";
  EXPECT_THROW(record({narrow, g, m, m}), ShapeError) << "no master";
  EXPECT_THROW(record({g, g, m, m, m}), ShapeError) << "a master it has no use for";
  EXPECT_THROW(record({g, narrow, m, m}), ShapeError) << "a gradient narrower than the parameter";
  EXPECT_THROW(record({g, long_one, m, m}), ShapeError) << "another width";
  EXPECT_THROW(record({narrow, g, narrow, narrow}), ShapeError) << "no seed";
  EXPECT_THROW(record({g, g, m, m}, {}, 2), ShapeError) << "a rate for one of two groups";
  EXPECT_THROW(record({g, g, m, m, {}, 1}), ShapeError) << "of a group that is none";
  EXPECT_NO_THROW(record({narrow, g, m, m, m}));
  EXPECT_NO_THROW(record({narrow, g, m, m, low}));
  EXPECT_NO_THROW(record({narrow, g, narrow, narrow}, count));
  EXPECT_THROW(ops::adamw(*p.tape, {{g, g, m, m}, {narrow, g, m, m, low}}, {rate, count, rate}, {{}}, {count},
                          "update"),
               ShapeError)
      << "two kinds in a node";
  EXPECT_THROW(ops::lion(*p.tape, {{g, g, m}}, {rate, rate, rate}, {{}}, {count}, "update"), ShapeError);
}

TEST(CopyAll, CopiesAndRoundsIntoPitchedTensorsAndPassesGradientsOn) {
  Program p;
  const Var a = p.tensor("a", {2, 3}, DType::f32, true), b = p.tensor("b", {2}, DType::f32, true);
  const Var into = p.tape->tensor({2, 8}, DType::bf16, "wide", Kind::activation);
  const Var left = p.tape->columns(into, 4, 3, "left"), right = p.tape->tensor({2}, DType::bf16, "right");
  ops::copy_all(*p.tape, {a, b}, {{left}, {right}}, "copies");
  const Var out = p.tensor("out", {2, 3}, DType::f32), loss = p.tensor("loss", {1}, DType::f32);
  ops::copy(*p.tape, left, {out});
  ops::sum(*p.tape, ops::cast(*p.tape, right, DType::f32, "right32"), {loss});
  backward(*p.tape, loss, {.seed = p.tensor("seed", {1}, DType::f32)});
  EXPECT_THROW(ops::copy_all(*p.tape, {a, b}, {{left}}, "copies"), ShapeError);
  EXPECT_THROW(ops::copy_all(*p.tape, {a, b}, {{left}, {left}}, "copies"), ShapeError);
  EXPECT_THROW(ops::copy_all(*p.tape, {left}, {{out}}, "copies"), ShapeError) << "bf16 to float32";
  EXPECT_THROW(ops::copy_all(*p.tape, {out}, {{out, Access::accumulate}}, "copies"), ShapeError);
  const auto session = p.start();
  session->set<float>("a", {1, 1 + 0x1p-9f, 3, 4, 5, 6});
  session->set<float>("b", {7, 8});
  session->set<float>("seed", {0.5f});
  session->run(0);
  EXPECT_EQ(session->get<float>("out"), (std::vector<float>{1, 1, 3, 4, 5, 6}));
  EXPECT_EQ(session->get<float>("loss")[0], 15.0f);
  EXPECT_EQ(session->get<float>("gradient/b"), (std::vector<float>{0.5f, 0.5f}));
}

}  // namespace
}  // namespace lethe
