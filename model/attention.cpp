#include "model/attention.h"

#include "engine/ops/attention.h"
#include "engine/ops/cached_attention.h"
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

void Attention::append_copies(Tape& tape, ops::LoraCopies& copies) const {
  qkv_.append_copies(tape, copies);
  output_.append_copies(tape, copies);
}

Var Attention::record(Tape& tape, Var x, const BatchInputs& batch, int64_t pitch) const {
  const Tape::Scope scope(tape, "attention");
  const Var qkv = qkv_.record(tape, x, batch.random);
  const Var q = qkv_.part(tape, qkv, 0), k = qkv_.part(tape, qkv, 1), v = qkv_.part(tape, qkv, 2);
  // The heads of k lie behind those of q: one pass turns both.
  const Var turned = tape.columns(qkv, 0, (heads_ + kv_heads_) * head_dim_, "qk");
  ops::rope(tape, turned, batch.positions, batch.rope_table, heads_ + kv_heads_, head_dim_, "rope");
  if (batch.cache_capacity > 0) {
    ops::keep_rows(tape, k, batch.cache_rows, batch.keys, "keep_keys");
    ops::keep_rows(tape, v, batch.cache_rows, batch.values, "keep_values");
    const ops::CachedAttentionShape shape{.tokens = batch.rows * batch.tokens,
                                          .heads = heads_,
                                          .kv_heads = kv_heads_,
                                          .head_dim = head_dim_,
                                          .capacity = batch.cache_capacity,
                                          .window = window_};
    const Var mixed = ops::cached_attention(tape, q, batch.keys, batch.values, batch.cache_rows, shape,
                                            "softmax", output_.input_pitch());
    return output_.record(tape, mixed, batch.random, pitch);
  }
  const ops::AttentionShape shape{.batch = batch.rows,
                                  .tokens = batch.tokens,
                                  .heads = heads_,
                                  .kv_heads = kv_heads_,
                                  .head_dim = head_dim_,
                                  .window = window_,
                                  .documents = batch.documents,
                                  .deterministic = batch.deterministic};
  const Var mixed =
      ops::attention(tape, q, k, v, batch.document_start, shape, "softmax", output_.input_pitch());
  return output_.record(tape, mixed, batch.random, pitch);
}

}  // namespace lethe
