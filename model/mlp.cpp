#include "model/mlp.h"

#include "engine/ops/swiglu.h"

namespace lethe {

Mlp::Mlp(State& state, const std::string& path, const LlamaConfig& config, const Precision& precision,
         const std::optional<LoraConfig>& lora, bool trained)
    : gate_up_(state, path, "gate_up_proj",
               {{"gate_proj", config.intermediate_size}, {"up_proj", config.intermediate_size}},
               config.hidden_size, precision, lora, trained),
      down_(state, path, "down_proj", {{"down_proj", config.hidden_size}}, config.intermediate_size,
            precision, lora, trained) {
  if (!config.mlp_bias) return;
  const int64_t inner = config.intermediate_size;
  gate_up_bias_.emplace(state, path, "gate_up_proj",
                        std::vector<LinearPart>{{"gate_proj", inner}, {"up_proj", inner}}, precision,
                        trained && !lora);
  down_bias_.emplace(state, path, "down_proj", std::vector<LinearPart>{{"down_proj", config.hidden_size}},
                     precision, trained && !lora);
}

void Mlp::append_copies(Tape& tape, ops::LoraCopies& copies) const {
  gate_up_.append_copies(tape, copies);
  down_.append_copies(tape, copies);
}

Var Mlp::record(Tape& tape, Var x, const BatchInputs& batch, int64_t pitch) const {
  const Tape::Scope scope(tape, "mlp");
  const Var gate_up = gate_up_.record(tape, x, batch.random);
  if (gate_up_bias_) gate_up_bias_->record(tape, gate_up);
  const Var gated = ops::swiglu(tape, gate_up_.part(tape, gate_up, 0), gate_up_.part(tape, gate_up, 1),
                                "swiglu", down_.input_pitch());
  const Var y = down_.record(tape, gated, batch.random, pitch);
  if (down_bias_) down_bias_->record(tape, y);
  return y;
}

}  // namespace lethe
