// Fresh weights. A program of its own draws them where they lie: the host need not touch billions of values.
#include <cmath>

#include "engine/ops/fill.h"
#include "engine/ops/random.h"
#include "engine/rng.h"
#include "kernels/rope.h"
#include "model/transformer.h"

namespace lethe {
namespace {

bool is_adapter(const std::string& name) {
  return name.find(".lora_") != std::string::npos;
}

// Calls fill(tape, tensor, info) for every weight that is no part of another, adapters or the others, and
// runs what it recorded.
template <class Fill>
void fill_weights(Session& session, bool adapters, const Fill& fill) {
  Tape tape(session.state(), "initialise");
  for (int32_t i = 0; i < session.state().size(); ++i) {
    const PersistentInfo& p = session.state()[i];
    // A merged factor's parts come behind it and are drawn by names of their own.
    const bool wanted = adapters || session.state().is_whole(i);
    if (p.kind != Kind::weight || !wanted || is_adapter(p.name) != adapters) continue;
    fill(tape, tape.persistent(i), p);
  }
  session.run_once(tape);
}

}  // namespace

void initialise_weights(Session& session, const LlamaConfig& config, uint64_t seed) {
  fill_weights(session, false, [&](Tape& tape, Var weight, const PersistentInfo& p) {
    if (p.name.ends_with(".bias")) return ops::fill(tape, weight, 0);
    const bool gain = p.shape.size() == 1;
    if (gain) return ops::fill(tape, weight, 1);
    ops::normal(tape, weight, config.initializer_range, {seed, stream_of(p.name)});
  });
}

void fill_rope_table(Session& session, const LlamaConfig& config) {
  const char* name = "input.rope_table";
  const int64_t positions = session.buffer(name).rows;
  std::vector<double> frequencies(static_cast<size_t>(config.head_dim / 2));
  kernels::rope_frequencies(config.rope_theta, config.head_dim, config.rope_scaling, frequencies.data());
  const double factor = kernels::rope_attention_factor(config.rope_scaling);
  const auto write = [&]<class C>() {
    std::vector<C> table(static_cast<size_t>(positions * config.head_dim));
    kernels::rope_table(frequencies.data(), factor, positions, config.head_dim, table.data());
    session.set(name, table);
  };
  if (session.buffer(name).dtype == DType::f64) {
    write.template operator()<double>();
  } else {
    write.template operator()<float>();
  }
}

void initialise_lora(Session& session, uint64_t seed) {
  fill_weights(session, true, [&](Tape& tape, Var weight, const PersistentInfo& p) {
    if (!p.name.ends_with(".lora_A.weight")) return ops::fill(tape, weight, 0);
    const double bound = 1.0 / std::sqrt(static_cast<double>(p.width()));
    ops::uniform(tape, weight, bound, {seed, stream_of(p.name)});
  });
}

}  // namespace lethe
