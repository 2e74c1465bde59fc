// The gated feed-forward layer: down(silu(gate(x)) * up(x)) (Shazeer, "GLU Variants Improve Transformer",
// 2020).
#pragma once

#include "model/config.h"
#include "model/inputs.h"
#include "model/linear.h"

namespace lethe {

class Mlp {
 public:
  // Declares the projections under `path` ("model.layers.3.mlp").
  Mlp(State& state, const std::string& path, const LlamaConfig& config, const Precision& precision,
      const std::optional<LoraConfig>& lora, bool trained);

  // x: [tokens, hidden_size], normalised. Returns the same shape.
  Var record(Tape& tape, Var x, const BatchInputs& batch) const;

 private:
  Linear gate_up_, down_;
};

}  // namespace lethe
