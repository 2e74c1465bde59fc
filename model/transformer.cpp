#include "model/transformer.h"

#include <algorithm>

#include "engine/ops/embedding.h"
#include "engine/ops/linear.h"
#include "engine/ops/rmsnorm.h"

namespace lethe {

Transformer::Transformer(State& state, const LlamaConfig& config, const Precision& precision,
                         const std::optional<LoraConfig>& lora, bool trained)
    : config_(config), precision_(precision), lora_(lora) {
  const bool base_trained = trained && !lora;
  const auto weight = [&](const std::string& module, Shape shape) {
    return state.declare({.name = module + ".weight",
                          .dtype = precision.weights,
                          .shape = std::move(shape),
                          .trainable = base_trained || (trained && lora && is_saved_whole(*lora, module))});
  };
  embedding_ = weight("model.embed_tokens", {config.vocab_size, config.hidden_size});
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string path = "model.layers." + std::to_string(i);
    blocks_.push_back({weight(path + ".input_layernorm", {config.hidden_size}),
                       weight(path + ".post_attention_layernorm", {config.hidden_size}),
                       Attention(state, path + ".self_attn", config, i, precision, lora, trained),
                       Mlp(state, path + ".mlp", config, precision, lora, trained)});
  }
  norm_ = weight("model.norm", {config.hidden_size});
  head_ =
      config.tie_word_embeddings ? embedding_ : weight("lm_head", {config.vocab_size, config.hidden_size});
}

Var Transformer::norm(Tape& tape, Stream& stream, int32_t gain, const char* sum_name, const char* name,
                      int64_t pitch) const {
  const Var weight = tape.persistent(gain);
  const double epsilon = config_.rms_norm_eps;
  if (!stream.pending.valid()) return ops::rmsnorm(tape, stream.residual, weight, epsilon, name, pitch);
  const ops::AddRmsNorm made =
      ops::add_rmsnorm(tape, stream.residual, stream.pending, weight, epsilon, sum_name, name, pitch);
  stream = {made.sum, {}};
  return made.norm;
}

void Transformer::block(Tape& tape, const Block& block, Stream& stream, const BatchInputs& batch) const {
  // Both branches leave the residual stream rows of one pitch, with room for the wider of their adapters.
  const int64_t pitch = std::max(block.attention.output_pitch(), block.mlp.output_pitch());
  const Var attention_in =
      norm(tape, stream, block.attention_norm, "input", "attention_norm", block.attention.input_pitch());
  stream.pending = block.attention.record(tape, attention_in, batch, pitch);
  const Var mlp_in =
      norm(tape, stream, block.mlp_norm, "attention_residual", "mlp_norm", block.mlp.input_pitch());
  stream.pending = block.mlp.record(tape, mlp_in, batch, pitch);
}

Var Transformer::logits(Tape& tape, const BatchInputs& batch) const {
  ops::LoraCopies copies;
  for (const Block& b : blocks_) {
    b.attention.append_copies(tape, copies);
    b.mlp.append_copies(tape, copies);
  }
  ops::refresh(tape, copies);
  const auto padding = static_cast<int32_t>(config_.pad_token_id.value_or(-1));
  Stream stream;
  stream.residual =
      ops::embedding(tape, batch.ids, tape.persistent(embedding_), precision_.compute, "embedding", padding);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Tape::Scope scope(tape, "layers." + std::to_string(i));
    BatchInputs of_layer = batch;
    if (batch.cache_capacity > 0) {
      of_layer.keys = tape.persistent(cached::tensor_name(static_cast<int64_t>(i), "keys"));
      of_layer.values = tape.persistent(cached::tensor_name(static_cast<int64_t>(i), "values"));
    }
    block(tape, blocks_[i], stream, of_layer);
  }
  Var x = norm(tape, stream, norm_, "blocks_output", "final_norm");
  if (batch.output_rows.valid()) x = ops::embedding(tape, batch.output_rows, x, precision_.compute, "wanted");
  return ops::linear(tape, x, tape.persistent(head_), "lm_head");
}

}  // namespace lethe
