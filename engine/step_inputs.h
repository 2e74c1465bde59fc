// What a training or evaluation program reads afresh each time it runs, and what it leaves for the host to
// read: persistent tensors known by these names to the model that records and the trainer that fills.
#pragma once

#include "engine/state.h"

namespace lethe {

namespace step {
inline constexpr const char* ids = "input.ids";                        // i32 [tokens]
inline constexpr const char* labels = "input.labels";                  // i32 [tokens]; -100: not a target
inline constexpr const char* positions = "input.positions";            // i32 [tokens]; within the document
inline constexpr const char* document_start = "input.document_start";  // i32 [tokens]; index within the row
inline constexpr const char* seed = "step.seed";                       // i64 [1]; key of all dropout
inline constexpr const char* index = "step.index";                     // i64 [1]; optimizer steps, from 1
inline constexpr const char* first_row = "step.first_row";          // i64 [1]; of this micro-batch's tokens
inline constexpr const char* loss_gradient = "step.loss_gradient";  // [1]; 1 / targets of the whole step
inline constexpr const char* learning_rate = "step.learning_rate";  // f64 [groups]; declared by the optimizer
inline constexpr const char* loss_sum = "metrics.loss_sum";         // f64 [1]; over the step's targets
inline constexpr const char* gradient_norm = "metrics.gradient_norm";        // f64 [1]; before clipping
inline constexpr const char* parameters_moved = "metrics.parameters_moved";  // i64 [1]; values that changed
inline constexpr const char* halted = "metrics.halted";    // i64 [1]; 1 from a step that diverged on
inline constexpr const char* correct = "metrics.correct";  // i64 [1]; targets guessed right
}  // namespace step

// Declares them for up to `rows` sequences of `tokens` tokens; `compute` is the activations' dtype.
void declare_step_inputs(State& state, int64_t rows, int64_t tokens, DType compute);

}  // namespace lethe
