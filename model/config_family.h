// What the families differ in: which keys of config.json they know, what an absent key means, which layers
// slide and which do not turn.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/config_reader.h"

namespace lethe {

// The defaults are transformers'.
struct Family {
  std::string model_type, architecture;
  int64_t max_position_embeddings = 2048;
  bool attention_bias_key = false;  // of q, k, v and o
  bool mlp_bias_key = false;        // of gate, up and down
  bool qkv_bias = false;            // always, without a key
  bool qk_norm = false;
  int64_t head_dim = 0;  // 0: hidden_size / num_attention_heads
  bool use_sliding_window_key = false;
  bool max_window_layers_key = false;
  bool no_rope_layers_key = false;
  bool needs_theta = false;  // refused without; the others take 10000, as old files are meant
  bool needs_kv_heads = true;
  bool tied = false;
  std::optional<int64_t> bos_token_id, eos_token_id, pad_token_id;
};

// Of a model_type, or null.
const Family* find_family(const std::string& model_type);
// "llama, mistral, ...".
std::string family_names();

// Of model_type and architectures. Throws FormatError if they are not supported or do not agree.
const Family& parse_family(const ConfigReader& config);

// Biases, windows and layers without rotary positions; the sizes of `model` must be there. Keys that say
// nothing in this file but may be wanted again go to `kept`. Throws FormatError.
void parse_layers(const ConfigReader& config, const Family& family, LlamaConfig& model, nlohmann::json& kept);

// Sets the same keys. Throws FormatError naming `file` if the family has no way to say it.
void write_layers(const std::string& file, nlohmann::json& config, const Family& family,
                  const LlamaConfig& model);

}  // namespace lethe
