#include "model/attention.h"

#include "engine/ops/attention.h"
#include "engine/ops/rope.h"

namespace lethe {

Attention::Attention(State& state, const std::string& path, const LlamaConfig& config,
                     const Precision& precision, const std::optional<LoraConfig>& lora, bool trained)
    : heads_(config.num_attention_heads),
      kv_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      window_(config.sliding_window),
      qkv_(state, path, "qkv_proj",
           {{"q_proj", heads_ * head_dim_},
            {"k_proj", kv_heads_ * head_dim_},
            {"v_proj", kv_heads_ * head_dim_}},
           config.hidden_size, precision, lora, trained),
      output_(state, path, "o_proj", {{"o_proj", config.hidden_size}}, heads_ * head_dim_, precision, lora,
              trained) {}

Var Attention::record(Tape& tape, Var x, const BatchInputs& batch) const {
  const Tape::Scope scope(tape, "attention");
  const Var qkv = qkv_.record(tape, x, batch.random);
  const Var q = qkv_.part(tape, qkv, 0), k = qkv_.part(tape, qkv, 1), v = qkv_.part(tape, qkv, 2);
  // The heads of k lie behind those of q: one pass turns both.
  const Var turned = tape.columns(qkv, 0, (heads_ + kv_heads_) * head_dim_, "qk");
  ops::rope(tape, turned, batch.positions, batch.rope_table, heads_ + kv_heads_, head_dim_, "rope");
  const ops::AttentionShape shape{.batch = batch.rows,
                                  .tokens = batch.tokens,
                                  .heads = heads_,
                                  .kv_heads = kv_heads_,
                                  .head_dim = head_dim_,
                                  .window = window_};
  const Var mixed = ops::attention(tape, q, k, v, batch.document_start, shape, "softmax");
  return output_.record(tape, mixed, batch.random);
}

}  // namespace lethe
