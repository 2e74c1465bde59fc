#include "model/inputs.h"

#include "engine/step_inputs.h"

namespace lethe {

namespace {
constexpr const char* kRopeTable = "input.rope_table";
}

void declare_inputs(State& state, const LlamaConfig& config, int64_t rows, int64_t tokens,
                    const Precision& precision) {
  declare_step_inputs(state, rows, tokens, precision.compute);
  state.declare({.name = kRopeTable,
                 .dtype = compute_dtype(precision.compute),
                 .shape = {tokens, config.head_dim},
                 .kind = Kind::input});
}

BatchInputs batch_inputs(Tape& tape, int64_t rows, int64_t tokens, bool training) {
  const auto part = [&](const char* name) {
    const Var whole = tape.persistent(name);
    if (tape.info(whole).elements() == rows * tokens) return whole;
    return tape.view(whole, 0, {rows * tokens}, name);
  };
  BatchInputs batch{.rows = rows,
                    .tokens = tokens,
                    .ids = part(step::ids),
                    .labels = part(step::labels),
                    .positions = part(step::positions),
                    .document_start = part(step::document_start),
                    .rope_table = tape.persistent(kRopeTable),
                    .loss_gradient = tape.persistent(step::loss_gradient)};
  if (training) {
    batch.random = ops::StepRandom{.seed = tape.persistent(step::seed),
                                   .step = tape.persistent(step::index),
                                   .first_row = tape.persistent(step::first_row)};
  }
  return batch;
}

}  // namespace lethe
