// The program that docs/tour/2-tape.md quotes: the loss (w x)^2, recorded, differentiated and run.
#include <cstdio>

#include "engine/backward.h"
#include "engine/ops/linear.h"
#include "engine/ops/mul.h"
#include "engine/ops/sum.h"
#include "engine/session.h"

using namespace lethe;

int main() {
  auto state = std::make_unique<State>();
  state->declare({.name = "x", .dtype = DType::f64, .shape = {1, 2}, .kind = Kind::input});
  state->declare({.name = "w", .dtype = DType::f64, .shape = {1, 2}, .trainable = true});
  state->declare({.name = "loss", .dtype = DType::f64, .shape = {1}, .kind = Kind::step_value});
  state->declare({.name = "one", .dtype = DType::f64, .shape = {1}, .kind = Kind::step_value});

  auto tape = std::make_unique<Tape>(*state, "example");
  const Var y = ops::linear(*tape, tape->persistent("x"), tape->persistent("w"), "y");
  const Var loss = tape->persistent("loss");
  ops::sum(*tape, ops::mul(*tape, y, y, "square"), {loss});
  backward(*tape, loss, {.seed = tape->persistent("one"), .gradient_dtype = DType::f64});
  for (const Node& node : tape->nodes()) std::printf("%s %s\n", node.op->name().data(), node.path.c_str());

  std::vector<std::unique_ptr<Tape>> programs;
  programs.push_back(std::move(tape));
  Session session(std::move(state), std::move(programs), make_cpu_backend());
  session.set<double>("x", {3, 4});
  session.set<double>("w", {2, -1});
  session.set<double>("one", {1});
  session.run(0);
  const auto gradient = session.get<double>("gradient/w");
  std::printf("loss %g, gradient %g %g\n", session.get<double>("loss")[0], gradient[0], gradient[1]);
}
