// What config.json says beyond Llama's: biases, norms of heads, windows by layer, layers without positions.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/config.h"
#include "model/weights/names.h"
#include "tests/files.h"

namespace lethe {
namespace {

using nlohmann::json;
using test::expect_parts;
using test::message_of;

json config_of(const std::string& model_type) {
  return {{"model_type", model_type},
          {"vocab_size", 64},
          {"hidden_size", 16},
          {"intermediate_size", 12},
          {"num_hidden_layers", 4},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 1e6},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"pad_token_id", nullptr},
          {"head_dim", 4},
          {"tie_word_embeddings", true}};
}

LlamaConfig parsed(const json& config) {
  return parse_config_text("config.json", config.dump());
}

std::string refusal(json config, const std::string& key, const json& value) {
  config[key] = value;
  return message_of<FormatError>([&] { parsed(config); });
}

std::vector<int64_t> windows(const LlamaConfig& config) {
  std::vector<int64_t> all;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) all.push_back(config.window_of(i));
  return all;
}

using Widths = std::vector<int64_t>;

bool has_tensor(const LlamaConfig& config, const std::string& name) {
  return std::ranges::any_of(model_tensors(config), [&](const ModelTensor& t) { return t.hf_name == name; });
}

TEST(ConfigFamily, qwen2_has_biases_on_queries_keys_and_values_alone) {
  const LlamaConfig config = parsed(config_of("qwen2"));
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_FALSE(config.output_bias);
  for (const char* map : {"q_proj", "k_proj", "v_proj"})
    EXPECT_TRUE(has_tensor(config, "model.layers.3.self_attn." + std::string(map) + ".bias"));
  EXPECT_FALSE(has_tensor(config, "model.layers.3.self_attn.o_proj.bias"));
  EXPECT_FALSE(has_tensor(config, "model.layers.3.self_attn.q_norm.weight"));
  expect_parts(refusal(config_of("qwen2"), "attention_bias", false), {"attention_bias: false", "qwen2"});
  expect_parts(refusal(config_of("qwen2"), "mlp_bias", true), {"mlp_bias: true", "qwen2"});
  expect_parts(refusal(config_of("mistral"), "attention_bias", true), {"attention_bias: true", "mistral"});
}

TEST(ConfigFamily, qwen3_normalises_heads_whose_width_is_its_own) {
  json file = config_of("qwen3");
  const LlamaConfig config = parsed(file);
  EXPECT_TRUE(config.qk_norm);
  EXPECT_TRUE(has_tensor(config, "model.layers.0.self_attn.k_norm.weight"));
  file.erase("head_dim");
  EXPECT_EQ(parsed(file).head_dim, 128);
  file["attention_bias"] = true;
  EXPECT_TRUE(parsed(file).qkv_bias && parsed(file).output_bias);
}

TEST(ConfigFamily, a_window_counts_only_where_it_is_said_to_be_used) {
  json file = config_of("qwen2");
  file["sliding_window"] = 8;
  file["max_window_layers"] = 2;
  EXPECT_EQ(windows(parsed(file)), (Widths{0, 0, 0, 0}));
  EXPECT_EQ(json::parse(parsed(file).other_keys)["sliding_window"], 8);  // kept for whoever reads it again
  file["use_sliding_window"] = true;
  EXPECT_EQ(windows(parsed(file)), (Widths{0, 0, 8, 8}));
  file.erase("max_window_layers");  // 28 in transformers
  EXPECT_EQ(windows(parsed(file)), (Widths{0, 0, 0, 0}));
  file["layer_types"] = {"sliding_attention", "full_attention", "sliding_attention", "full_attention"};
  EXPECT_EQ(windows(parsed(file)), (Widths{8, 0, 8, 0}));
  file["sliding_window"] = nullptr;
  expect_parts(message_of<FormatError>([&] { parsed(file); }), {"layer_types", "layer 0 slides"});
  file.erase("sliding_window");  // 4096 in transformers
  EXPECT_EQ(windows(parsed(file)), (Widths{4096, 0, 4096, 0}));
}

TEST(ConfigFamily, smollm3_leaves_positions_out_of_some_layers) {
  json file = config_of("smollm3");
  const auto unrotated = [&] { return parsed(file).unrotated_layers; };
  using Flags = std::vector<bool>;
  EXPECT_EQ(unrotated(), (Flags{false, false, false, true}));
  file["no_rope_layer_interval"] = 2;
  EXPECT_EQ(unrotated(), (Flags{false, true, false, true}));
  file["no_rope_layers"] = {0, 1, 1, 1, 1};  // transformers asks for at least as many as there are layers
  EXPECT_EQ(unrotated(), (Flags{true, false, false, false}));
  file["use_sliding_window"] = true;
  file["sliding_window"] = 6;
  EXPECT_EQ(windows(parsed(file)), (Widths{6, 0, 0, 0}));
  expect_parts(refusal(file, "no_rope_layers", {1, 1}), {"no_rope_layers", "4 flags"});
  expect_parts(refusal(file, "no_rope_layers", {1, 1, 2, 1}), {"no_rope_layers", "2"});
  expect_parts(refusal(file, "no_rope_layer_interval", 0), {"no_rope_layer_interval: 0"});
  file.erase("pad_token_id");  // 128004 in transformers, which this vocabulary has not
  expect_parts(message_of<FormatError>([&] { parsed(file); }), {"pad_token_id", "128004", "63"});
}

TEST(ConfigFamily, defaults_that_would_change_the_arithmetic_unseen_are_asked_for) {
  for (const char* type : {"qwen2", "qwen3", "smollm3"}) {
    for (const char* key : {"rope_theta", "num_key_value_heads"}) {
      json file = config_of(type);
      file.erase(key);
      expect_parts(message_of<FormatError>([&] { parsed(file); }), {key, "missing"});
    }
  }
}

TEST(ConfigFamily, what_is_written_is_parsed_as_the_same_model) {
  for (json file : {config_of("llama"), config_of("qwen2"), config_of("qwen3"), config_of("smollm3")}) {
    const std::string type = file["model_type"];
    for (const bool windows : {false, true}) {
      if (type != "qwen2") file["attention_bias"] = windows;
      if (type == "llama" || type == "smollm3") file["mlp_bias"] = true;
      if (windows && type == "llama") continue;
      if (windows) {
        file["use_sliding_window"] = true;
        file["sliding_window"] = 5;
        file["layer_types"] = {"full_attention", "sliding_attention", "full_attention", "sliding_attention"};
      }
      const LlamaConfig config = parsed(file);
      EXPECT_EQ(parse_config_text("again.json", config_text(config)), config) << config_text(config);
      int64_t elements = 0;
      for (const ModelTensor& t : model_tensors(config)) elements += t.rows * t.columns;
      EXPECT_EQ(parameter_count(config), elements) << type;
    }
  }
}

TEST(ConfigFamily, what_a_family_cannot_say_is_not_written) {
  LlamaConfig config = parsed(config_of("llama"));
  config.qk_norm = true;
  expect_parts(message_of<FormatError>([&] { check_config("config.json", config); }), {"qk_norm", "llama"});
  config = parsed(config_of("llama"));
  config.output_bias = true;
  expect_parts(message_of<FormatError>([&] { check_config("config.json", config); }), {"attention_bias"});
  config = parsed(config_of("qwen3"));
  config.unrotated_layers = {true, false, false, false};
  expect_parts(message_of<FormatError>([&] { check_config("config.json", config); }), {"no_rope_layers"});
  config = parsed(config_of("smollm3"));
  config.unrotated_layers = {true};
  expect_parts(message_of<FormatError>([&] { check_config("config.json", config); }),
               {"no_rope_layers", "4"});
}

}  // namespace
}  // namespace lethe
