// A linear map's logits and their cross-entropy as a training step records it, fused or of two nodes.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/backward.h"
#include "engine/host_values.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/linear.h"
#include "engine/ops/sum.h"
#include "engine/session.h"

namespace lethe::test {

struct TrainingLoss {
  int64_t rows, vocabulary;
  bool fused;

  // The loss and the gradients of the map's two factors after `runs` runs. Every third label is ignored.
  std::map<std::string, std::vector<double>> run(DType dtype, std::unique_ptr<Backend> backend,
                                                 int runs = 1) const {
    auto state = std::make_unique<State>();
    auto tape = std::make_unique<Tape>(*state, "test");
    const DType compute = compute_dtype(dtype);
    const auto tensor = [&](const std::string& name, Shape shape, DType type, bool trainable) {
      return tape->persistent(
          state->declare({.name = name, .dtype = type, .shape = std::move(shape), .trainable = trainable}));
    };
    const Var x = tensor("x", {rows, 24}, dtype, true), w = tensor("w", {vocabulary, 24}, dtype, true);
    const Var labels = tensor("labels", {rows}, DType::i32, false),
              seed = tensor("seed", {1}, compute, false);
    const Var loss = tensor("loss", {1}, compute, false);
    const Var logits = ops::linear(*tape, x, w, "logits");
    const Var losses = fused ? ops::cross_entropy_training(*tape, logits, labels, seed)
                             : ops::cross_entropy(*tape, logits, labels).losses;
    ops::sum(*tape, losses, {loss});
    backward(*tape, loss, {.seed = seed, .gradient_dtype = compute});

    std::vector<std::unique_ptr<Tape>> tapes;
    tapes.push_back(std::move(tape));
    Session session(std::move(state), std::move(tapes), std::move(backend));
    const auto fill = [&](const std::string& name, int64_t count, double step) {
      std::vector<double> values;
      for (int64_t i = 0; i < count; ++i) values.push_back(std::sin(step * static_cast<double>(i)));
      set_host_values(session, name, values);
    };
    fill("x", rows * 24, 1.0);
    fill("w", vocabulary * 24, 0.7);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < rows; ++i)
      ids.push_back(i % 3 == 1 ? -100 : static_cast<int32_t>(i * 211 % vocabulary));
    session.set<int32_t>("labels", ids);
    set_host_values(session, "seed", {0.25});
    for (int i = 0; i < runs; ++i) session.run(0);
    return {{"loss", host_values(session, "loss")},
            {"x", host_values(session, State::gradient_name("x"))},
            {"w", host_values(session, State::gradient_name("w"))}};
  }
};

}  // namespace lethe::test
