// The gated feed-forward layer: down(silu(gate(x)) * up(x)) (Shazeer, "GLU Variants Improve Transformer",
// 2020).
#pragma once

#include "model/bias.h"
#include "model/config.h"
#include "model/inputs.h"
#include "model/linear.h"

namespace lethe {

class Mlp {
 public:
  // Declares the projections under `path` ("model.layers.3.mlp").
  Mlp(State& state, const std::string& path, const LlamaConfig& config, const Precision& precision,
      const std::optional<LoraConfig>& lora, bool trained);

  // x: [tokens, hidden_size], normalised, its rows input_pitch() apart. Returns the same shape, its rows at
  // least `pitch` apart.
  Var record(Tape& tape, Var x, const BatchInputs& batch, int64_t pitch) const;

  int64_t input_pitch() const { return gate_up_.input_pitch(); }
  int64_t output_pitch() const { return down_.output_pitch(); }
  void append_copies(Tape& tape, ops::LoraCopies& copies) const;

 private:
  Linear gate_up_, down_;
  std::optional<Bias> gate_up_bias_, down_bias_;
};

}  // namespace lethe
