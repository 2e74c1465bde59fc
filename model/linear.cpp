#include "model/linear.h"

#include <algorithm>

#include "engine/ops/add_linear.h"
#include "engine/ops/linear.h"
#include "engine/rng.h"

namespace lethe {

Linear::Linear(State& state, const std::string& path, const std::string& name, std::vector<LinearPart> parts,
               int64_t in, const Precision& precision, const std::optional<LoraConfig>& lora, bool trained)
    : name_(name), parts_(std::move(parts)), adapters_(parts_.size()) {
  int64_t out = 0;
  for (const LinearPart& p : parts_) out += p.out;
  weight_ = state.declare({.name = path + "." + name + ".weight",
                           .dtype = precision.weights,
                           .shape = {out, in},
                           .trainable = trained && !lora});
  int64_t row = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const LinearPart& p = parts_[i];
    if (parts_.size() > 1) state.declare_rows(path + "." + p.name + ".weight", weight_, row, p.out);
    row += p.out;
    if (!lora || std::ranges::find(lora->target_modules, p.name) == lora->target_modules.end()) continue;
    const auto adapter = [&](const std::string& which, Shape shape) {
      return state.declare({.name = path + "." + p.name + "." + which + ".weight",
                            .dtype = precision.adapters(),
                            .shape = std::move(shape),
                            .trainable = trained});
    };
    adapters_[i].a = adapter("lora_A", {lora->rank, in});
    adapters_[i].b = adapter("lora_B", {p.out, lora->rank});
  }
  if (lora) {
    scale_ = lora->scale();
    dropout_ = lora->dropout;
  }
}

Var Linear::record(Tape& tape, Var x, const std::optional<ops::StepRandom>& random) const {
  const Var y = ops::linear(tape, x, tape.persistent(weight_), name_);
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
  return y;
}

Var Linear::part(Tape& tape, Var y, size_t i) const {
  if (parts_.size() == 1) return y;
  int64_t column = 0;
  for (size_t k = 0; k < i; ++k) column += parts_[k].out;
  return tape.columns(y, column, parts_[i].out, parts_[i].name);
}

}  // namespace lethe
