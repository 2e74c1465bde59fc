#include "model/linear.h"

#include <algorithm>

#include "engine/ops/add_linear.h"
#include "engine/ops/linear.h"
#include "engine/rng.h"

namespace lethe {

Linear::Linear(State& state, const std::string& path, const std::string& name, std::vector<LinearPart> parts,
               int64_t in, const Precision& precision, const std::optional<LoraConfig>& lora, bool trained)
    : name_(name), parts_(std::move(parts)), in_(in), adapters_(parts_.size()) {
  for (const LinearPart& p : parts_) out_ += p.out;
  int64_t targets = 0;
  if (lora) {
    scale_ = lora->scale();
    dropout_ = lora->dropout;
    targets = std::ranges::count_if(parts_, [&](const LinearPart& p) {
      return std::ranges::find(lora->target_modules, p.name) != lora->target_modules.end();
    });
    if (dropout_ == 0) rank_inside_ = targets * lora->rank;
  }
  declare_weight(state, path, precision, trained && !lora);
  if (targets > 0) declare_adapters(state, path, precision, *lora, trained);
}

void Linear::declare_weight(State& state, const std::string& path, const Precision& precision, bool trained) {
  const std::string name = path + "." + name_ + ".weight";
  if (rank_inside_ > 0) {
    storage_ = state.declare({.name = path + "." + name_ + ".weight_and_adapters",
                              .dtype = precision.weights,
                              .shape = {out_ + rank_inside_, in_ + rank_inside_},
                              .pitch = input_pitch(),
                              .is_storage = true});
    weight_ = state.declare_block(name, storage_, 0, out_, 0, in_);
  } else {
    weight_ =
        state.declare({.name = name, .dtype = precision.weights, .shape = {out_, in_}, .trainable = trained});
  }
  if (parts_.size() == 1) return;
  int64_t row = 0;
  for (const LinearPart& p : parts_) {
    state.declare_rows(path + "." + p.name + ".weight", weight_, row, p.out);
    row += p.out;
  }
}

void Linear::declare_adapters(State& state, const std::string& path, const Precision& precision,
                              const LoraConfig& lora, bool trained) {
  const auto adapter = [&](const std::string& part, const char* which, Shape shape) {
    return state.declare({.name = path + "." + part + which,
                          .dtype = precision.adapters(),
                          .shape = std::move(shape),
                          .trainable = trained});
  };
  constexpr const char *a = ".lora_A.weight", *b = ".lora_B.weight";
  const bool merged = rank_inside_ > 0 && parts_.size() > 1;
  if (merged) all_a_ = adapter(name_, a, {rank_inside_, in_});
  int64_t row = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const LinearPart& p = parts_[i];
    if (std::ranges::find(lora.target_modules, p.name) == lora.target_modules.end()) continue;
    adapters_[i].a = merged ? state.declare_rows(path + "." + p.name + a, all_a_, row, lora.rank)
                            : adapter(p.name, a, {lora.rank, in_});
    adapters_[i].b = adapter(p.name, b, {p.out, lora.rank});
    row += lora.rank;
    if (!merged) all_a_ = adapters_[i].a;
  }
}

ops::LoraWeight Linear::lora_weight(Tape& tape) const {
  ops::LoraWeight weight{.storage = tape.persistent(storage_), .outputs = out_, .a = tape.persistent(all_a_)};
  int64_t first = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (adapters_[i].b >= 0) weight.parts.push_back({tape.persistent(adapters_[i].b), first});
    first += parts_[i].out;
  }
  return weight;
}

void Linear::append_copies(Tape& tape, ops::LoraCopies& copies) const {
  if (rank_inside_ > 0) ops::append_copies(tape, lora_weight(tape), copies);
}

Var Linear::record(Tape& tape, Var x, const std::optional<ops::StepRandom>& random, int64_t pitch) const {
  pitch = std::max(pitch, output_pitch());
  if (rank_inside_ > 0) return ops::lora_linear(tape, x, lora_weight(tape), scale_, name_, pitch);
  const Var y = ops::linear(tape, x, tape.persistent(weight_), name_, pitch);
  add_adapters(tape, x, y, random);
  return y;
}

void Linear::add_adapters(Tape& tape, Var x, Var y, const std::optional<ops::StepRandom>& random) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (adapters_[i].a < 0) continue;
    const Tape::Scope scope(tape, parts_[i].name);
    Var in = x;
    if (random && dropout_ > 0) {
      in = ops::dropout(tape, x, dropout_, *random, stream_of(tape.path("lora_dropout")), "lora_dropout");
    }
    const Var u = ops::linear(tape, in, tape.persistent(adapters_[i].a), "lora_A");
    ops::add_linear(tape, part(tape, y, i), u, tape.persistent(adapters_[i].b), scale_, "lora_B");
  }
}

Var Linear::part(Tape& tape, Var y, size_t i) const {
  if (parts_.size() == 1) return y;
  int64_t column = 0;
  for (size_t k = 0; k < i; ++k) column += parts_[k].out;
  return tape.columns(y, column, parts_[i].out, parts_[i].name);
}

}  // namespace lethe
