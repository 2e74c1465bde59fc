// A program's handles to what it reads afresh each time: the batch, and what changes from step to step.
#pragma once

#include <optional>

#include "engine/ops/dropout.h"
#include "engine/tape.h"
#include "model/config.h"

namespace lethe {

// Declares engine/step_inputs.h's tensors for `rows` sequences of `tokens` tokens, and "input.rope_table"
// [tokens, head_dim] in the compute dtype.
void declare_inputs(State& state, const LlamaConfig& config, int64_t rows, int64_t tokens,
                    const Precision& precision);

// Programs may use fewer rows than were declared (evaluation, decoding).
struct BatchInputs {
  int64_t rows = 0, tokens = 0;
  // As in kernels::AttentionShape: the most documents of all rows together, 0 if not known; and whether the
  // same bits are wanted from run to run.
  int64_t documents = 0;
  bool deterministic = false;
  Var ids, labels, positions, document_start, rope_table, loss_gradient;
  std::optional<ops::StepRandom> random;  // absent: nothing is dropped
};

BatchInputs batch_inputs(Tape& tape, int64_t rows, int64_t tokens, bool training);

}  // namespace lethe
