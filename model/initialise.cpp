#include <cmath>

#include "engine/host_values.h"
#include "engine/rng.h"
#include "kernels/rope.h"
#include "model/transformer.h"

namespace lethe {
namespace {

// Every weight tensor that is no view and no adapter.
template <class Value>
void fill(Session& session, const std::string& name, const Value& value) {
  std::vector<double> values(
      static_cast<size_t>(elements_of(session.state()[session.state().require(name)].shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = value(i);
  set_host_values(session, name, values);
}

bool is_adapter(const std::string& name) {
  return name.find(".lora_") != std::string::npos;
}

}  // namespace

void initialise_weights(Session& session, const LlamaConfig& config, uint64_t seed) {
  for (int32_t i = 0; i < session.state().size(); ++i) {
    const PersistentInfo p = session.state()[i];
    if (p.kind != Kind::weight || !session.state().is_whole(i) || is_adapter(p.name)) continue;
    const Rng rng(seed, stream_of(p.name));
    const bool gain = p.shape.size() == 1;
    fill(session, p.name, [&](size_t k) { return gain ? 1.0 : config.initializer_range * rng.normal(k); });
  }
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
  for (int32_t i = 0; i < session.state().size(); ++i) {
    const PersistentInfo p = session.state()[i];
    // A merged factor's parts come behind it and are drawn by names of their own.
    if (p.kind != Kind::weight || !is_adapter(p.name)) continue;
    const Rng rng(seed, stream_of(p.name));
    const double bound =
        p.name.ends_with(".lora_A.weight") ? 1.0 / std::sqrt(static_cast<double>(p.width())) : 0.0;
    fill(session, p.name, [&](size_t k) { return bound * (2.0 * rng.uniform(k) - 1.0); });
  }
}

}  // namespace lethe
