// Fresh weights. A program of its own draws them where they lie: the host need not touch billions of values.
#include <fmt/format.h>

#include <cmath>

#include "engine/ops/dora.h"
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
    if (p.kind != Kind::weight || p.absent || !wanted || is_adapter(p.name) != adapters) continue;
    fill(tape, tape.persistent(i), p);
  }
  session.run_once(tape);
}

// Of "model.layers.0.self_attn.q_proj.lora_base_squares".
std::string map_of(const std::string& squares) {
  return squares.substr(0, squares.size() - std::string(kBaseSquares).size());
}

template <class C>
void start_magnitudes(Session& session, const std::string& squares) {
  std::vector<C> norms = session.get<C>(squares);
  for (size_t i = 0; i < norms.size(); ++i) {
    if (!(norms[i] > 0)) {
      throw ConfigError("lora.use_dora", fmt::format("row {} of {}.weight is zero or not finite: it has no "
                                                     "direction that a magnitude could scale",
                                                     i, map_of(squares)));
    }
    norms[i] = std::sqrt(norms[i]);
  }
  session.set(map_of(squares) + ".lora_magnitude_vector", norms);
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

void measure_base(Session& session) {
  Tape tape(session.state(), "measure");
  for (int32_t i = 0; i < session.state().size(); ++i) {
    const std::string name = session.state()[i].name;
    if (!name.ends_with(kBaseSquares)) continue;
    ops::row_squares(tape, tape.persistent(map_of(name) + ".weight"), tape.persistent(i));
  }
  if (!tape.nodes().empty()) session.run_once(tape);
}

void initialise_lora(Session& session, uint64_t seed, bool gaussian) {
  fill_weights(session, true, [&](Tape& tape, Var weight, const PersistentInfo& p) {
    if (!p.name.ends_with(".lora_A.weight")) return ops::fill(tape, weight, 0);
    if (gaussian) {
      ops::normal(tape, weight, 1.0 / static_cast<double>(p.rows()), {seed, stream_of(p.name)});
    } else {
      ops::uniform(tape, weight, 1.0 / std::sqrt(static_cast<double>(p.width())), {seed, stream_of(p.name)});
    }
  });
  measure_base(session);
  for (int32_t i = 0; i < session.state().size(); ++i) {
    const std::string name = session.state()[i].name;
    if (!name.ends_with(kBaseSquares)) continue;
    dispatch_float(session.state()[i].dtype, name,
                   [&]<class T>() { start_magnitudes<compute_t<T>>(session, name); });
  }
}

}  // namespace lethe
