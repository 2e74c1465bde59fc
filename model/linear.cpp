#include "model/linear.h"

#include <algorithm>

#include "engine/ops/add_linear.h"
#include "engine/ops/fill.h"
#include "engine/ops/linear.h"
#include "engine/rng.h"

namespace lethe {

Linear::Linear(State& state, const std::string& path, const std::string& name, std::vector<LinearPart> parts,
               int64_t in, const Precision& precision, const std::optional<LoraConfig>& lora, bool trained)
    : name_(name), parts_(std::move(parts)), in_(in), adapters_(parts_.size()) {
  for (const LinearPart& p : parts_) out_ += p.out;
  bool one_scale = true;
  if (lora) {
    dropout_ = lora->dropout;
    for (size_t i = 0; i < parts_.size(); ++i) {
      const std::optional<LoraModule> found = adapter_of(*lora, path + "." + parts_[i].name);
      if (!found) continue;
      adapters_[i].is = *found;
      adapters_[i].first_rank = rank_;
      one_scale = one_scale && (rank_ == 0 || found->scale == scale_);
      scale_ = found->scale;
      rank_ += found->rank;
    }
    dora_ = lora->use_dora && rank_ > 0;
  }
  if (dropout_ == 0 && one_scale && lora && lora->beside_weight) rank_inside_ = rank_;
  if (dora_ && dropout_ > 0) {
    throw ConfigError("lora.dropout",
                      "must be 0 with DoRA, whose magnitudes would need the base's product "
                      "with the dropped input as well");
  }
  declare_weight(state, path, precision, trained && !lora);
  if (rank_ > 0) declare_adapters(state, path, precision, trained);
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
                              bool trained) {
  const auto adapter = [&](const std::string& part, const char* which, Shape shape) {
    return state.declare({.name = path + "." + part + which,
                          .dtype = precision.adapters(),
                          .shape = std::move(shape),
                          .trainable = trained});
  };
  constexpr const char *a = ".lora_A.weight", *b = ".lora_B.weight";
  const bool merged = rank_inside_ > 0 && parts_.size() > 1;
  if (merged) all_a_ = adapter(name_, a, {rank_inside_, in_});
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (!has_adapter(i)) continue;
    const LinearPart& p = parts_[i];
    Adapter& made = adapters_[i];
    made.a = merged ? state.declare_rows(path + "." + p.name + a, all_a_, made.first_rank, made.is.rank)
                    : adapter(p.name, a, {made.is.rank, in_});
    made.b = adapter(p.name, b, {p.out, made.is.rank});
    if (!merged) all_a_ = made.a;
    if (!dora_) continue;
    made.magnitude = adapter(p.name, ".lora_magnitude_vector", {p.out});
    made.squares = state.declare({.name = path + "." + p.name + kBaseSquares,
                                  .dtype = compute_dtype(precision.weights),
                                  .shape = {p.out},
                                  .kind = Kind::input});
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
  const int64_t z_pitch = dora_ ? output_pitch() : pitch;
  Var z;
  if (rank_inside_ > 0) {
    z = ops::lora_linear(tape, x, lora_weight(tape), scale_, name_, z_pitch);
  } else {
    z = ops::linear(tape, x, tape.persistent(weight_), name_, z_pitch);
    add_adapters(tape, x, z, random);
  }
  return dora_ ? scale_by_magnitudes(tape, z, pitch) : z;
}

ops::DoraMap Linear::dora_map(Tape& tape, size_t part) const {
  const Adapter& adapter = adapters_[part];
  const int64_t out = parts_[part].out, rank = adapter.is.rank;
  int64_t first = 0;
  for (size_t k = 0; k < part; ++k) first += parts_[k].out;
  const Var whole = tape.persistent(rank_inside_ > 0 ? storage_ : weight_);
  const int64_t pitch = tape.info(whole).pitch;
  ops::DoraMap map{.weight = tape.view(whole, first * pitch, {out, in_}, "weight"),
                   .squares = tape.persistent(adapter.squares),
                   .a = tape.persistent(adapter.a),
                   .b = tape.persistent(adapter.b),
                   .magnitude = tape.persistent(adapter.magnitude),
                   .scale = adapter.is.scale};
  if (rank_inside_ > 0) {
    // The norms are those of what is multiplied with: the copies in the weight's dtype.
    map.a = tape.view(whole, (out_ + adapter.first_rank) * pitch, {rank, in_}, "lora_A");
    map.b = tape.view(whole, first * pitch + in_ + adapter.first_rank, {out, rank}, "lora_B");
  }
  return map;
}

Var Linear::scale_by_magnitudes(Tape& tape, Var z, int64_t pitch) const {
  const TensorInfo info = tape.info(z);
  const Var y = tape.tensor(info.shape, info.dtype, name_ + ".scaled", Kind::activation, pitch);
  for (size_t i = 0; i < parts_.size(); ++i) {
    const Tape::Scope scope(tape, parts_[i].name);
    ops::DoraFactors factors;
    Var magnitude;
    if (has_adapter(i)) {
      const ops::DoraMap map = dora_map(tape, i);
      factors = ops::dora_factors(tape, map);
      magnitude = map.magnitude;
    } else {
      // Beside parts that have magnitudes this one is passed on as it is.
      factors.factor = tape.tensor({parts_[i].out}, compute_dtype(info.dtype), "one");
      factors.inverse_norm = factors.factor;
      ops::fill(tape, factors.factor, 1);
    }
    ops::scale_columns(tape, part(tape, z, i), factors, magnitude, part(tape, y, i));
  }
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
    ops::add_linear(tape, part(tape, y, i), u, tape.persistent(adapters_[i].b), adapters_[i].is.scale,
                    "lora_B");
  }
}

Var Linear::part(Tape& tape, Var y, size_t i) const {
  if (parts_.size() == 1) return y;
  int64_t column = 0;
  for (size_t k = 0; k < i; ++k) column += parts_[k].out;
  return tape.columns(y, column, parts_[i].out, parts_[i].name);
}

}  // namespace lethe
