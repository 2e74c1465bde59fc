// What a Llama-family model is: the part of Hugging Face's config.json that changes the arithmetic, plus the
// text of what does not, so that it is carried over when the model is written again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/rope_scaling.h"

namespace lethe {

struct LlamaConfig {
  std::string model_type = "llama";  // or mistral, qwen2, qwen3, smollm3: what they differ in stands below
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  double rms_norm_eps = 1e-6;
  int64_t max_position_embeddings = 2048;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  bool qkv_bias = false;               // of the query, key and value projections
  bool output_bias = false;            // of the attention's output projection
  bool mlp_bias = false;               // of gate, up and down
  bool qk_norm = false;                // each head of q and k is normalised before it is turned
  int64_t sliding_window = 0;          // query i sees keys j with i - window < j <= i; 0: all j <= i
  std::vector<bool> full_layers;       // by layer: sees all keys all the same; empty: none does
  std::vector<bool> unrotated_layers;  // by layer: its queries and keys are not turned; empty: all are
  bool tie_word_embeddings = false;
  std::optional<int64_t> bos_token_id = 1;
  std::vector<int64_t> eos_token_ids = {2};
  std::optional<int64_t> pad_token_id;  // its embedding row gets no gradient through the lookup
  double initializer_range = 0.02;
  double attention_dropout = 0;   // of attention's probabilities, in training; from 0 to below 1
  std::string dtype = "float32";  // what the file says its weights are; the tensors decide
  std::string other_keys = "{}";  // a JSON object: the keys of config.json that change no arithmetic

  int64_t window_of(int64_t layer) const {
    return full_layers.empty() || !full_layers[static_cast<size_t>(layer)] ? sliding_window : 0;
  }
  bool rotates(int64_t layer) const {
    return unrotated_layers.empty() || !unrotated_layers[static_cast<size_t>(layer)];
  }

  bool operator==(const LlamaConfig&) const = default;
};

// Reads a config.json of one of the model types above, in the spelling of transformers 4 or 5. Every key that
// changes the arithmetic is honoured or refused; a key that is not known to be harmless is refused unless
// `allowed_keys` names it. Naming "rope_scaling" there also allows a yarn factor that does not lead from the
// original to the present context length. Defaults taken are logged. Throws FormatError naming file, key and
// value.
LlamaConfig parse_config(const std::string& path, const std::vector<std::string>& allowed_keys = {});

// The same from JSON text; `file` stands for it in messages.
LlamaConfig parse_config_text(const std::string& file, const std::string& text,
                              const std::vector<std::string>& allowed_keys = {});

// Checks that the numbers fit together (heads, even head_dim, sizes that 64 bits can count). Throws
// FormatError naming `file`, key and value.
void check_config(const std::string& file, const LlamaConfig& config);

// Writes a config.json that transformers 4 and 5 both read as this model: rope_theta, rope_scaling and
// rope_parameters, torch_dtype and dtype. Throws FormatError for a config that check_config refuses, IoError
// if the system does; the old file is then whole.
void write_config(const std::string& path, const LlamaConfig& config);

// The same as text.
std::string config_text(const LlamaConfig& config);

// Elements of all weights, a tied head counted once.
int64_t parameter_count(const LlamaConfig& config);

}  // namespace lethe
