// The collectives as operations: tensors of several types, with gaps between rows, larger and smaller than
// what travels at once.
#include <gtest/gtest.h>

#include "engine/host_values.h"
#include "engine/ops/all_reduce.h"
#include "engine/ops/by_owner.h"
#include "engine/ops/gradient_norm.h"
#include "engine/rng.h"
#include "engine/session.h"
#include "tests/comm/ranks.h"
#include "tests/distributed/shared.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

struct Declared {
  const char* name;
  DType dtype;
  Shape shape;
  int64_t pitch;
};
// "large" is more than 4 MiB.
const Declared kTensors[] = {
    {"vector", DType::f32, {7}, 0},       {"rows", DType::f32, {5, 6}, 9},
    {"half", DType::bf16, {3, 4}, 8},     {"large", DType::f32, {1201, 1000}, 1003},
    {"double", DType::f64, {2, 3}, 0},    {"one", DType::f64, {1}, 0},
    {"half again", DType::bf16, {11}, 0}, {"empty", DType::f32, {0, 4}, 0},
};

double value(int rank, const std::string& name, size_t i) {
  return Rng(static_cast<uint64_t>(rank), stream_of(name)).normal(i);
}

// A session over the tensors, filled with what this rank holds, and one program.
struct Ran {
  std::unique_ptr<Session> session;

  explicit Ran(const std::function<void(Tape&, const std::vector<Var>&)>& record) {
    auto state = std::make_unique<State>();
    for (const Declared& t : kTensors) {
      state->declare(
          {.name = t.name, .dtype = t.dtype, .shape = t.shape, .kind = Kind::gradient, .pitch = t.pitch});
    }
    auto tape = std::make_unique<Tape>(*state, "program");
    std::vector<Var> tensors;
    for (const Declared& t : kTensors) tensors.push_back(tape->persistent(t.name));
    record(*tape, tensors);
    std::vector<std::unique_ptr<Tape>> programs;
    programs.push_back(std::move(tape));
    session =
        std::make_unique<Session>(std::move(state), std::move(programs), make_cpu_backend({.threads = 1}));
    for (const Declared& t : kTensors) set_host_values(*session, t.name, own(ranks().rank(), t));
    session->run(0);
  }

  // What a rank holds at the start, as it is stored.
  static std::vector<double> own(int rank, const Declared& t) {
    std::vector<double> values(static_cast<size_t>(elements_of(t.shape)));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = value(rank, t.name, i);
      if (t.dtype == DType::f32) values[i] = static_cast<float>(values[i]);
      if (t.dtype == DType::bf16) values[i] = static_cast<float>(bf16(static_cast<float>(values[i])));
    }
    return values;
  }
  std::vector<double> held(const Declared& t) const { return host_values(*session, t.name); }
};

std::vector<int> owners() {
  std::vector<int> found;
  for (size_t i = 0; i < std::size(kTensors); ++i) found.push_back(static_cast<int>(3 * i) % ranks().world());
  return found;
}

TEST(Collectives, SumsToOwnersHaveTheBitsOfSumsToAll) {
  const Ran all([](Tape& tape, const auto& tensors) { ops::all_reduce(tape, tensors, shared_ranks()); });
  const Ran owned([](Tape& tape, const auto& tensors) {
    ops::reduce_to_owners(tape, tensors, owners(), shared_ranks());
  });
  for (size_t i = 0; i < std::size(kTensors); ++i) {
    const Declared& t = kTensors[i];
    std::vector<double> expected(static_cast<size_t>(elements_of(t.shape)));
    for (int r = 0; r < ranks().world(); ++r) {
      const std::vector<double> values = Ran::own(r, t);
      for (size_t k = 0; k < values.size(); ++k) expected[k] += values[k];
    }
    const std::vector<double> found = all.held(t);
    const double roundoff = t.dtype == DType::f64 ? 1e-15 : t.dtype == DType::f32 ? 1e-6 : 8e-3;
    for (size_t k = 0; k < found.size(); ++k) ASSERT_NEAR(found[k], expected[k], 8 * roundoff) << t.name << k;
    EXPECT_TRUE(owned.held(t) == (owners()[i] == ranks().rank() ? found : Ran::own(ranks().rank(), t)))
        << t.name;
  }
}

TEST(Collectives, EveryRankGetsTheOwnersValues) {
  const Ran run([](Tape& tape, const auto& tensors) {
    ops::gather_from_owners(tape, tensors, owners(), shared_ranks());
  });
  for (size_t i = 0; i < std::size(kTensors); ++i) {
    EXPECT_TRUE(run.held(kTensors[i]) == Ran::own(owners()[i], kTensors[i])) << kTensors[i].name;
  }
}

TEST(Collectives, RefuseWhatTheyCannotSumAndOwnersThatAreNoRanks) {
  State state;
  state.declare({.name = "ids", .dtype = DType::i32, .shape = {4}});
  Tape tape(state, "program");
  const Var ids = tape.persistent("ids");
  expect_parts(message_of<ShapeError>([&] { ops::all_reduce(tape, {ids}, shared_ranks()); }),
               {"ids of int32"});
  expect_parts(message_of<ShapeError>([&] { ops::reduce_to_owners(tape, {ids}, {0}, shared_ranks()); }),
               {"ids of int32"});
  expect_parts(message_of<ShapeError>(
                   [&] { ops::gather_from_owners(tape, {ids}, {ranks().world()}, shared_ranks()); }),
               {"1 tensors and 1 owners"});
}

TEST(Collectives, TheNormOfSquaresHasTheBitsOfTheNorm) {
  const auto scalars = [](Tape& tape) {
    const Var loss = tape.persistent("one");
    const ops::GradientNorm into{.norm = tape.tensor({1}, DType::f64, "norm"),
                                 .scale = tape.tensor({1}, DType::f64, "scale"),
                                 .halted = tape.tensor({1}, DType::i64, "halted")};
    for (const Var v : {into.norm, into.scale, into.halted}) tape.keep(v);
    return std::pair(loss, into);
  };
  ops::GradientNorm whole, parts;
  const Ran at_once([&](Tape& tape, const auto& tensors) {
    const auto [loss, into] = scalars(tape);
    whole = into;
    ops::gradient_norm(tape, tensors, loss, 0.5, into);
  });
  const Ran in_steps([&](Tape& tape, const auto& tensors) {
    const auto [loss, into] = scalars(tape);
    parts = into;
    const Var squares = tape.tensor({static_cast<int64_t>(tensors.size())}, DType::f64, "squares");
    std::vector<int32_t> places(tensors.size());
    for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int32_t>(i);
    ops::gradient_squares(tape, tensors, places, squares);
    ops::norm_of_squares(tape, squares, loss, 0.5, into);
  });
  const auto read = [](const Ran& run, Var v) { return run.session->buffer(0, v).scalar<double>(); };
  EXPECT_EQ(read(at_once, whole.norm), read(in_steps, parts.norm));
  EXPECT_EQ(read(at_once, whole.scale), read(in_steps, parts.scale));
  EXPECT_GT(read(at_once, whole.norm), 1);
}

}  // namespace
}  // namespace lethe::test
