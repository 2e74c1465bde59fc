#include "model/transformer.h"

#include <algorithm>

#include "engine/ops/add.h"
#include "engine/ops/embedding.h"
#include "engine/ops/linear.h"
#include "engine/ops/rmsnorm.h"

namespace lethe {

Transformer::Transformer(State& state, const LlamaConfig& config, const Precision& precision,
                         const std::optional<LoraConfig>& lora, bool trained)
    : config_(config), precision_(precision), lora_(lora) {
  const bool base_trained = trained && !lora;
  const auto weight = [&](const std::string& name, Shape shape) {
    return state.declare(
        {.name = name, .dtype = precision.weights, .shape = std::move(shape), .trainable = base_trained});
  };
  embedding_ = weight("model.embed_tokens.weight", {config.vocab_size, config.hidden_size});
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string path = "model.layers." + std::to_string(i);
    blocks_.push_back({weight(path + ".input_layernorm.weight", {config.hidden_size}),
                       weight(path + ".post_attention_layernorm.weight", {config.hidden_size}),
                       Attention(state, path + ".self_attn", config, precision, lora, trained),
                       Mlp(state, path + ".mlp", config, precision, lora, trained)});
  }
  norm_ = weight("model.norm.weight", {config.hidden_size});
  head_ = config.tie_word_embeddings ? embedding_
                                     : weight("lm_head.weight", {config.vocab_size, config.hidden_size});
}

Var Transformer::block(Tape& tape, const Block& block, Var x, const BatchInputs& batch) const {
  const auto norm = [&](Var in, int32_t gain, const char* name, int64_t pitch) {
    return ops::rmsnorm(tape, in, tape.persistent(gain), config_.rms_norm_eps, name, pitch);
  };
  // Both branches leave the residual stream rows of one pitch, with room for the wider of their adapters.
  const int64_t pitch = std::max(block.attention.output_pitch(), block.mlp.output_pitch());
  const Var attended = block.attention.record(
      tape, norm(x, block.attention_norm, "attention_norm", block.attention.input_pitch()), batch, pitch);
  const Var middle = ops::add(tape, x, attended, "attention_residual");
  const Var thought =
      block.mlp.record(tape, norm(middle, block.mlp_norm, "mlp_norm", block.mlp.input_pitch()), batch, pitch);
  return ops::add(tape, middle, thought, "mlp_residual");
}

Var Transformer::logits(Tape& tape, const BatchInputs& batch) const {
  ops::LoraCopies copies;
  for (const Block& b : blocks_) {
    b.attention.append_copies(tape, copies);
    b.mlp.append_copies(tape, copies);
  }
  ops::refresh(tape, copies);
  const auto padding = static_cast<int32_t>(config_.pad_token_id.value_or(-1));
  Var x =
      ops::embedding(tape, batch.ids, tape.persistent(embedding_), precision_.compute, "embedding", padding);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Tape::Scope scope(tape, "layers." + std::to_string(i));
    x = block(tape, blocks_[i], x, batch);
  }
  x = ops::rmsnorm(tape, x, tape.persistent(norm_), config_.rms_norm_eps, "final_norm");
  return ops::linear(tape, x, tape.persistent(head_), "lm_head");
}

}  // namespace lethe
