// A program that a session runs without having been made with it.
#include <gtest/gtest.h>

#include "engine/ops/add.h"
#include "engine/ops/copy.h"
#include "engine/ops/fill.h"
#include "engine/ops/random.h"
#include "engine/rng.h"
#include "engine/session.h"

namespace lethe {
namespace {

// A session over x [3, 5] and its program: y = x.
std::unique_ptr<Session> session_of_two() {
  auto state = std::make_unique<State>();
  for (const char* name : {"x", "y"}) state->declare({.name = name, .dtype = DType::f32, .shape = {3, 5}});
  std::vector<std::unique_ptr<Tape>> tapes;
  tapes.push_back(std::make_unique<Tape>(*state, "copy"));
  ops::copy(*tapes[0], tapes[0]->persistent("x"), {tapes[0]->persistent("y")});
  return std::make_unique<Session>(std::move(state), std::move(tapes), make_cpu_backend({.threads = 2}));
}

TEST(RunOnce, WritesWhatTheSessionsOwnProgramsRead) {
  const auto session = session_of_two();
  Tape tape(session->state(), "initialise");
  ops::normal(tape, tape.persistent("x"), 2, {5, stream_of("x")});
  session->run_once(tape);
  session->run(0);
  const Rng rng(5, stream_of("x"));
  const std::vector<float> y = session->get<float>("y");
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], static_cast<float>(2 * rng.normal(i)));
}

TEST(RunOnce, RefusesTensorsThatHaveNoMemory) {
  const auto session = session_of_two();
  Tape late(session->state(), "late");
  ops::fill(late, late.persistent(session->state().declare({.name = "z", .shape = {2}})), 1);
  EXPECT_THROW(session->run_once(late), ShapeError);
}

TEST(RunOnce, RefusesMoreScratchMemoryThanThereIs) {
  const auto session = session_of_two();
  Tape wide(session->state(), "wide");
  const Var x = wide.persistent("x");
  ops::copy(wide, ops::add(wide, x, x, "twice"), {wide.persistent("y")});
  EXPECT_THROW(session->run_once(wide), MemoryError);
}

TEST(RunOnce, AnIntegerTensorIsNotRandom) {
  State state;
  Tape tape(state, "test");
  const Var ids = tape.persistent(state.declare({.name = "ids", .dtype = DType::i32, .shape = {4}}));
  EXPECT_THROW(ops::uniform(tape, ids, 1, {1, 2}), ShapeError);
}

}  // namespace
}  // namespace lethe
