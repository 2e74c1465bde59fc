// A program's handles to what it reads afresh each time: the batch, and what changes from step to step.
#pragma once

#include <optional>

#include "engine/ops/dropout.h"
#include "engine/tape.h"
#include "model/config.h"

namespace lethe {

namespace cached {
inline constexpr const char* rows = "input.cache_rows";
inline constexpr const char* output_rows = "input.output_rows";
std::string tensor_name(int64_t layer, const char* part);  // "cache.3.keys"
}  // namespace cached

// Declares engine/step_inputs.h's tensors for `rows` sequences of `tokens` tokens, and "input.rope_table"
// [tokens, head_dim] in the compute dtype.
void declare_inputs(State& state, const LlamaConfig& config, int64_t rows, int64_t tokens,
                    const Precision& precision);

// Slots for the keys and values of texts that grow (kernels/cached_attention.h).
struct CacheSize {
  int64_t slots = 0, capacity = 0;  // tokens of a slot
};

// The same for programs of up to `tokens` tokens of any slots: the table of angles reaches a slot's end;
// "input.cache_rows" int32 [tokens] and "input.output_rows" int32 [slots] tell where a token is kept and
// whose logits are wanted; each layer's keys and values are kept as "cache.N.keys", "cache.N.values".
void declare_cached_inputs(State& state, const LlamaConfig& config, int64_t tokens, const CacheSize& cache,
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
  // Of a program over a cache: attention is to what is kept, and logits are those of output_rows.
  int64_t cache_capacity = 0;
  Var cache_rows, output_rows;
  Var keys, values;  // of the layer that is being recorded
  Var hidden;        // of texts that branch (engine/ops/attention.h); no layer may have a window then
};

BatchInputs batch_inputs(Tape& tape, int64_t rows, int64_t tokens, bool training);

// Of the first `tokens` tokens of declare_cached_inputs.
BatchInputs cached_inputs(Tape& tape, int64_t tokens, const CacheSize& cache);

}  // namespace lethe
