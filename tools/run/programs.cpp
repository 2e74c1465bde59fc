#include "tools/run/programs.h"

#include <algorithm>

#include "engine/backward.h"
#include "engine/ops/accuracy.h"
#include "engine/ops/copy.h"
#include "engine/ops/cross_entropy.h"
#include "engine/ops/kl_divergence.h"
#include "engine/ops/sum.h"
#include "engine/step_inputs.h"
#include "optim/borrowed_weights.h"
#include "optim/gradient_sums.h"

namespace lethe {
namespace {

BatchInputs inputs_of(const ProgramSpec& spec, Tape& tape, bool training) {
  BatchInputs batch = batch_inputs(tape, spec.rows, spec.tokens, training);
  batch.documents = spec.documents;
  batch.deterministic = spec.deterministic;
  return batch;
}

// Forward and backward over one micro-batch. loss, gradients: whether they replace what earlier ones left.
std::unique_ptr<Tape> record_micro_batch(const ProgramSpec& spec, State& state, const Transformer& model,
                                         kernels::Write loss, kernels::Write gradients,
                                         const std::string& name) {
  auto tape = std::make_unique<Tape>(state, name);
  const BatchInputs batch = inputs_of(spec, *tape, true);
  const Var logits = model.logits(*tape, batch);
  const Var losses = ops::cross_entropy_training(*tape, logits, batch.labels, batch.loss_gradient, "loss");
  const Var total = tape->persistent(step::loss_sum);
  ops::sum(*tape, losses,
           {total, loss == kernels::Write::overwrite ? Access::overwrite : Access::accumulate});
  drop_for_recompute(*tape, spec.recompute, spec.recompute_layers);
  backward(*tape, total,
           {.seed = batch.loss_gradient,
            .parameter_gradients = gradients,
            .gradient_dtype = spec.precision.gradients});
  return tape;
}

// The programs of a step's micro-batches, with the sums over the ranks where they belong.
StepPrograms record_micro_batches(const ProgramSpec& spec, State& state, const Transformer& model,
                                  std::vector<std::unique_ptr<Tape>>& tapes) {
  using enum kernels::Write;
  const Distribution& ranks = spec.distribution;
  const bool each = ranks.shared() && ranks.sums_each_micro_batch();
  StepPrograms step;
  std::vector<int> owners;
  const auto record = [&](kernels::Write write, bool sums, const char* name) {
    // Where each micro-batch is summed by itself, its own gradients come first; the loss is the step's.
    tapes.push_back(record_micro_batch(spec, state, model, write, each ? overwrite : write, name));
    if (owners.empty()) owners = weight_owners(state, ranks);
    if (sums && ranks.shared()) append_gradient_sums(*tapes.back(), write, ranks, owners);
    return tapes.size() - 1;
  };
  step.first = step.next = step.last = record(overwrite, each || !spec.accumulate, "micro-batch");
  if (!spec.accumulate) return step;
  step.next = step.last = record(accumulate, each, "further micro-batch");
  if (!each && ranks.shared()) step.last = record(accumulate, true, "last micro-batch");
  return step;
}

// What other ranks hold is gone from this one's memory, and borrowed where it is computed with.
void share_out(const Distribution& ranks, Programs& programs, std::optional<size_t> update) {
  State& state = *programs.state;
  const std::vector<int> owners = weight_owners(state, ranks);
  const bool lends = ranks.sharding == Sharding::zero3;
  for (size_t t = 0; t < programs.tapes.size() && lends; ++t) {
    if (t != update) borrow_weights(*programs.tapes[t], owners, ranks.comm);
  }
  for (size_t i = 0; i < owners.size(); ++i) {
    const auto index = static_cast<int32_t>(i);
    if (owners[i] < 0) continue;
    const bool absent = owners[i] != ranks.comm->rank();
    if (lends) state.set_owner(index, owners[i], absent);
    const int32_t gradient = state.find_gradient(index);
    if (gradient >= 0 && ranks.sharding >= Sharding::zero2) state.set_owner(gradient, owners[i], absent);
  }
}

// The table of angles reaches the longest text, and there is room for as many tokens as a program takes.
void declare_all_inputs(const ProgramSpec& spec, State& state) {
  int64_t rows = spec.rows, tokens = spec.tokens;
  if (spec.examiner) {
    const int64_t most = std::max(rows * tokens, spec.examiner->tokens());
    tokens = std::max(tokens, spec.examiner->positions());
    rows = (most + tokens - 1) / tokens;
  }
  declare_inputs(state, spec.config, rows, tokens, spec.precision);
}

constexpr const char* kLogits = "divergence.logits";

DivergencePrograms record_divergence(const ProgramSpec& spec, Programs& programs) {
  State& state = *programs.state;
  state.declare({.name = kLogits,
                 .dtype = spec.precision.compute,
                 .shape = {spec.rows * spec.tokens, spec.config.vocab_size},
                 .kind = Kind::cache});
  DivergencePrograms made;
  const auto record = [&](const char* name, const auto& finish) {
    auto tape = std::make_unique<Tape>(state, name);
    const BatchInputs batch = inputs_of(spec, *tape, false);
    const Var logits = programs.model->logits(*tape, batch);
    finish(*tape, logits, batch.labels);
    programs.tapes.push_back(std::move(tape));
    return programs.tapes.size() - 1;
  };
  made.keep = record("model's logits", [](Tape& tape, Var logits, Var) {
    ops::copy(tape, logits, {tape.persistent(kLogits)});
  });
  made.compare = record("divergence from the base", [&](Tape& tape, Var logits, Var labels) {
    made.divergences = ops::kl_divergence(tape, logits, tape.persistent(kLogits), labels);
    tape.keep(made.divergences);
  });
  return made;
}

}  // namespace

std::vector<const Tape*> Programs::views() const {
  std::vector<const Tape*> list;
  for (const auto& t : tapes) list.push_back(t.get());
  return list;
}

Programs record_programs(const ProgramSpec& spec, bool keep_logits) {
  Programs made;
  made.state = std::make_unique<State>();
  State& state = *made.state;
  declare_all_inputs(spec, state);
  const bool trained = spec.gradients || spec.optimizer;
  std::optional<LoraConfig> lora = spec.lora;
  const Distribution& ranks = spec.distribution;
  // With zero3 a factor's owner need not be the weight's; the bits are the same for every sharding.
  if (lora && ranks.shared() && ranks.sums_each_micro_batch()) {
    lora->beside_weight = ranks.sharding != Sharding::zero3 && !ranks.sum_each_micro_batch;
  }
  made.model.emplace(state, spec.config, spec.precision, lora, trained);

  if (trained) {
    StepPrograms step = record_micro_batches(spec, state, *made.model, made.tapes);
    if (spec.optimizer) {
      step.update = made.tapes.size();
      made.tapes.push_back(std::make_unique<Tape>(state, "update"));
      append_update(*made.tapes.back(), *spec.optimizer, spec.precision, spec.distribution);
    }
    made.step = step;
  }

  made.evaluate = made.tapes.size();
  auto tape = std::make_unique<Tape>(state, "evaluate");
  const BatchInputs batch = inputs_of(spec, *tape, false);
  made.logits = made.model->logits(*tape, batch);
  made.losses = ops::cross_entropy(*tape, made.logits, batch.labels, "loss").losses;
  ops::accuracy(*tape, made.logits, batch.labels, {tape->persistent(step::correct)});
  tape->keep(made.losses);
  if (keep_logits) tape->keep(made.logits);
  made.tapes.push_back(std::move(tape));
  if (spec.divergence) made.divergence = record_divergence(spec, made);
  if (spec.examiner) spec.examiner->record(state, *made.model, made.tapes);
  if (spec.distribution.shared()) {
    const bool updates = made.step && spec.optimizer;
    share_out(spec.distribution, made, updates ? std::optional(made.step->update) : std::nullopt);
  }
  return made;
}

}  // namespace lethe
