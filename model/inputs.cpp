#include "model/inputs.h"

#include "engine/step_inputs.h"

namespace lethe {

std::string cached::tensor_name(int64_t layer, const char* part) {
  return "cache." + std::to_string(layer) + "." + part;
}

namespace {

constexpr const char* kRopeTable = "input.rope_table";

void declare_rope_table(State& state, const LlamaConfig& config, int64_t positions,
                        const Precision& precision) {
  state.declare({.name = kRopeTable,
                 .dtype = compute_dtype(precision.compute),
                 .shape = {positions, config.head_dim},
                 .kind = Kind::input});
}

// The first `count` of what was declared for more.
Var first_of(Tape& tape, const char* name, int64_t count) {
  const Var whole = tape.persistent(name);
  if (tape.info(whole).elements() == count) return whole;
  return tape.view(whole, 0, {count}, name);
}

}  // namespace

void declare_inputs(State& state, const LlamaConfig& config, int64_t rows, int64_t tokens,
                    const Precision& precision) {
  declare_step_inputs(state, rows, tokens, precision.compute);
  declare_rope_table(state, config, tokens, precision);
}

void declare_cached_inputs(State& state, const LlamaConfig& config, int64_t tokens, const CacheSize& cache,
                           const Precision& precision) {
  for (const char* name : {step::ids, step::positions, cached::rows})
    state.declare({.name = name, .dtype = DType::i32, .shape = {tokens}, .kind = Kind::input});
  state.declare(
      {.name = cached::output_rows, .dtype = DType::i32, .shape = {cache.slots}, .kind = Kind::input});
  declare_rope_table(state, config, cache.capacity, precision);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    for (const char* part : {"keys", "values"}) {
      state.declare({.name = cached::tensor_name(i, part),
                     .dtype = precision.compute,
                     .shape = {cache.slots * cache.capacity, config.num_key_value_heads * config.head_dim},
                     .kind = Kind::cache});
    }
  }
}

BatchInputs cached_inputs(Tape& tape, int64_t tokens, const CacheSize& cache) {
  BatchInputs batch{.rows = 1, .tokens = tokens};
  batch.ids = first_of(tape, step::ids, tokens);
  batch.positions = first_of(tape, step::positions, tokens);
  batch.rope_table = tape.persistent(kRopeTable);
  batch.cache_capacity = cache.capacity;
  batch.cache_rows = first_of(tape, cached::rows, tokens);
  batch.output_rows = tape.persistent(cached::output_rows);
  return batch;
}

BatchInputs batch_inputs(Tape& tape, int64_t rows, int64_t tokens, bool training) {
  const auto part = [&](const char* name) { return first_of(tape, name, rows * tokens); };
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
