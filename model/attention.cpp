#include "model/attention.h"

#include "engine/ops/attention.h"
#include "engine/ops/cached_attention.h"
#include "engine/ops/head_norm.h"
#include "engine/ops/rope.h"
#include "engine/rng.h"

namespace lethe {

Attention::Attention(State& state, const std::string& path, const LlamaConfig& config, int64_t layer,
                     const Precision& precision, const std::optional<LoraConfig>& lora, bool trained)
    : heads_(config.num_attention_heads),
      kv_heads_(config.num_key_value_heads),
      head_dim_(config.head_dim),
      window_(config.window_of(layer)),
      rotates_(config.rotates(layer)),
      epsilon_(config.rms_norm_eps),
      dropout_(config.attention_dropout),
      parts_{{"q_proj", heads_ * head_dim_},
             {"k_proj", kv_heads_ * head_dim_},
             {"v_proj", kv_heads_ * head_dim_}},
      qkv_(state, path, "qkv_proj", parts_, config.hidden_size, precision, lora, trained),
      output_(state, path, "o_proj", {{"o_proj", config.hidden_size}}, heads_ * head_dim_, precision, lora,
              trained) {
  const bool base_trained = trained && !lora;
  if (config.qkv_bias) qkv_bias_.emplace(state, path, "qkv_proj", parts_, precision, base_trained);
  if (config.output_bias) {
    output_bias_.emplace(state, path, "o_proj", std::vector<LinearPart>{{"o_proj", config.hidden_size}},
                         precision, base_trained);
  }
  if (!config.qk_norm) return;
  const auto gain = [&](const std::string& module) {
    return state.declare({.name = module + ".weight",
                          .dtype = precision.weights,
                          .shape = {head_dim_},
                          .trainable = base_trained || (trained && lora && is_saved_whole(*lora, module))});
  };
  q_norm_ = gain(path + ".q_norm");
  k_norm_ = gain(path + ".k_norm");
}

void Attention::append_copies(Tape& tape, ops::LoraCopies& copies) const {
  qkv_.append_copies(tape, copies);
  output_.append_copies(tape, copies);
}

Var Attention::normed(Tape& tape, Var qkv) const {
  const TensorInfo info = tape.info(qkv);
  const int64_t q_width = heads_ * head_dim_, k_width = kv_heads_ * head_dim_;
  const Var qk = tape.tensor({info.rows(), q_width + k_width}, info.dtype, "qk_normed");
  ops::head_norm(tape, qkv_.part(tape, qkv, 0), tape.persistent(q_norm_), tape.columns(qk, 0, q_width, "q"),
                 epsilon_, "q_norm");
  ops::head_norm(tape, qkv_.part(tape, qkv, 1), tape.persistent(k_norm_),
                 tape.columns(qk, q_width, k_width, "k"), epsilon_, "k_norm");
  return qk;
}

Var Attention::attend(Tape& tape, Var q, Var k, Var v, const BatchInputs& batch) const {
  const ops::AttentionShape shape{.batch = batch.rows,
                                  .tokens = batch.tokens,
                                  .heads = heads_,
                                  .kv_heads = kv_heads_,
                                  .head_dim = head_dim_,
                                  .window = window_,
                                  .documents = batch.documents,
                                  .deterministic = batch.deterministic};
  std::optional<ops::AttentionDropout> dropout;
  if (batch.random && dropout_ > 0)
    dropout = {dropout_, *batch.random, stream_of(tape.path("attention_dropout"))};
  return ops::attention(tape, q, k, v, batch.document_start, shape, "softmax", output_.input_pitch(),
                        batch.hidden, dropout);
}

Var Attention::attend_to_kept(Tape& tape, Var q, Var k, Var v, const BatchInputs& batch) const {
  ops::keep_rows(tape, k, batch.cache_rows, batch.keys, "keep_keys");
  ops::keep_rows(tape, v, batch.cache_rows, batch.values, "keep_values");
  const ops::CachedAttentionShape shape{.tokens = batch.rows * batch.tokens,
                                        .heads = heads_,
                                        .kv_heads = kv_heads_,
                                        .head_dim = head_dim_,
                                        .capacity = batch.cache_capacity,
                                        .window = window_};
  return ops::cached_attention(tape, q, batch.keys, batch.values, batch.cache_rows, shape, "softmax",
                               output_.input_pitch());
}

Var Attention::record(Tape& tape, Var x, const BatchInputs& batch, int64_t pitch) const {
  const Tape::Scope scope(tape, "attention");
  const Var qkv = qkv_.record(tape, x, batch.random);
  if (qkv_bias_) qkv_bias_->record(tape, qkv);
  const int64_t q_width = heads_ * head_dim_, k_width = kv_heads_ * head_dim_;
  const Var qk = q_norm_ >= 0 ? normed(tape, qkv) : tape.columns(qkv, 0, q_width + k_width, "qk");
  const Var q = tape.columns(qk, 0, q_width, "q_proj"), k = tape.columns(qk, q_width, k_width, "k_proj");
  const Var v = qkv_.part(tape, qkv, 2);
  // The heads of k lie behind those of q: one pass turns both.
  if (rotates_) ops::rope(tape, qk, batch.positions, batch.rope_table, heads_ + kv_heads_, head_dim_, "rope");
  const Var mixed =
      batch.cache_capacity > 0 ? attend_to_kept(tape, q, k, v, batch) : attend(tape, q, k, v, batch);
  const Var y = output_.record(tape, mixed, batch.random, pitch);
  if (output_bias_) output_bias_->record(tape, y);
  return y;
}

}  // namespace lethe
