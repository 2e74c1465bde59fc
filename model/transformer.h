// The Llama family as a recorded program (Touvron et al. 2023; Grattafiori et al. 2024), and those that
// differ from it by a bias, a norm of the heads, a window or a layer without positions.
#pragma once

#include <optional>
#include <vector>

#include "engine/session.h"
#include "model/attention.h"
#include "model/mlp.h"

namespace lethe {

class Transformer {
 public:
  // Declares every weight in `state` under its Hugging Face name (merged maps beside views of their parts).
  // trained: full fine-tuning trains all of them; with `lora` only the adapters are
  // and what modules_to_save names; false: nothing is.
  Transformer(State& state, const LlamaConfig& config, const Precision& precision,
              const std::optional<LoraConfig>& lora, bool trained);

  const LlamaConfig& config() const { return config_; }
  const std::optional<LoraConfig>& lora() const { return lora_; }
  const Precision& precision() const { return precision_; }

  // [rows * tokens, vocab_size]; over a cache [slots, vocab_size], the rows that batch.output_rows names.
  Var logits(Tape& tape, const BatchInputs& batch) const;

 private:
  struct Block {
    int32_t attention_norm, mlp_norm;
    Attention attention;
    Mlp mlp;
  };
  // The residual stream in two parts: what it was, and what a layer has yet to add to it. Whoever reads it
  // next adds them and normalises the sum in one pass.
  struct Stream {
    Var residual, pending;
  };
  // Returns the norm of the stream, which then has nothing pending.
  Var norm(Tape& tape, Stream& stream, int32_t gain, const char* sum_name, const char* name,
           int64_t pitch = 0) const;
  void block(Tape& tape, const Block& block, Stream& stream, const BatchInputs& batch) const;

  LlamaConfig config_;
  Precision precision_;
  std::optional<LoraConfig> lora_;
  int32_t embedding_, norm_, head_;
  std::vector<Block> blocks_;
};

// Fills a fresh model's weights: normal with config.initializer_range, gains one, biases zero; adapters as in
// initialise_lora. Each value depends on seed, tensor name and position alone.
void initialise_weights(Session& session, const LlamaConfig& config, uint64_t seed);

// B zero; A uniform in +-1/sqrt(in) (PEFT's default, kaiming with a = sqrt 5), or normal with standard
// deviation 1/r; magnitudes the norms of the base's rows, which must be there. Throws ConfigError for a row
// of zeros, which DoRA cannot scale.
void initialise_lora(Session& session, uint64_t seed, bool gaussian = false);

// Fills what DoRA must know of the base: after its weights were loaded or drawn. initialise_lora and
// load_adapter do it.
void measure_base(Session& session);

// Writes the table of cosines and sines that the model's rotary positions read.
void fill_rope_table(Session& session, const LlamaConfig& config);

}  // namespace lethe
