// Grouped-query self-attention with rotary positions (Ainslie et al. 2023; Su et al. 2021).
#pragma once

#include "model/bias.h"
#include "model/config.h"
#include "model/inputs.h"
#include "model/linear.h"

namespace lethe {

class Attention {
 public:
  // Declares the projections under `path` ("model.layers.3.self_attn") of this layer.
  Attention(State& state, const std::string& path, const LlamaConfig& config, int64_t layer,
            const Precision& precision, const std::optional<LoraConfig>& lora, bool trained);

  // x: [tokens, hidden_size], normalised, its rows input_pitch() apart. Returns the same shape, its rows at
  // least `pitch` apart.
  Var record(Tape& tape, Var x, const BatchInputs& batch, int64_t pitch) const;

  int64_t input_pitch() const { return qkv_.input_pitch(); }
  int64_t output_pitch() const { return output_.output_pitch(); }
  void append_copies(Tape& tape, ops::LoraCopies& copies) const;

 private:
  // Of the batch's own tokens, or over a cache, which then keeps them too.
  Var attend(Tape& tape, Var q, Var k, Var v, const BatchInputs& batch) const;
  Var attend_to_kept(Tape& tape, Var q, Var k, Var v, const BatchInputs& batch) const;
  // Queries and keys side by side, each head normalised where the family does.
  Var normed(Tape& tape, Var qkv) const;

  int64_t heads_, kv_heads_, head_dim_, window_;
  bool rotates_;
  double epsilon_;
  double dropout_;                 // of the probabilities, in training
  std::vector<LinearPart> parts_;  // q, k, v
  Linear qkv_, output_;
  std::optional<Bias> qkv_bias_, output_bias_;
  int32_t q_norm_ = -1, k_norm_ = -1;  // State indices; -1: the heads are not normalised
};

}  // namespace lethe
