#include "model/config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/weights/names.h"
#include "tests/files.h"

namespace lethe {
namespace {

using nlohmann::json;
using test::expect_parts;
using test::Folder;
using test::message_of;
using test::read_bytes;
using test::write_text;

json plain_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", 512},
          {"hidden_size", 64},
          {"intermediate_size", 172},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 8},
          {"num_key_value_heads", 4},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"max_position_embeddings", 2048}};
}

LlamaConfig parsed(const json& config, const std::vector<std::string>& allowed = {}) {
  const Folder folder;
  return parse_config(write_text(folder / "config.json", config.dump()), allowed);
}

std::string refusal(const json& config, const std::vector<std::string>& allowed = {}) {
  const Folder folder;
  const std::string path = write_text(folder / "config.json", config.dump());
  const std::string message = message_of<FormatError>([&] { parse_config(path, allowed); });
  expect_parts(message, {path});
  return message;
}

json with(const std::string& key, const json& value) {
  json config = plain_config();
  config[key] = value;
  return config;
}

json without(const std::string& key) {
  json config = plain_config();
  config.erase(key);
  return config;
}

TEST(Config, sizes_and_defaults_are_read) {
  const LlamaConfig config = parsed(plain_config());
  EXPECT_EQ(config.vocab_size, 512);
  EXPECT_EQ(config.head_dim, 8);
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.bos_token_id, 1);
  EXPECT_EQ(config.eos_token_ids, std::vector<int64_t>{2});
  EXPECT_EQ(config.pad_token_id, std::nullopt);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.sliding_window, 0);
  EXPECT_EQ(config.rope_scaling, RopeScaling{});
  EXPECT_EQ(parsed(without("num_key_value_heads")).num_key_value_heads, 8);
  EXPECT_EQ(parsed(without("max_position_embeddings")).max_position_embeddings, 2048);
  EXPECT_EQ(parsed(without("rope_theta")).rope_theta, 10000.0);
  EXPECT_EQ(parsed(with("head_dim", 32)).head_dim, 32);
  EXPECT_EQ(parsed(with("hidden_act", "swish")), parsed(with("hidden_act", "silu")));
}

TEST(Config, token_ids_may_be_one_several_or_none) {
  EXPECT_EQ(parsed(with("eos_token_id", {7, 8})).eos_token_ids, (std::vector<int64_t>{7, 8}));
  EXPECT_EQ(parsed(with("eos_token_id", 9)).eos_token_ids, std::vector<int64_t>{9});
  EXPECT_TRUE(parsed(with("eos_token_id", nullptr)).eos_token_ids.empty());
  EXPECT_EQ(parsed(with("bos_token_id", nullptr)).bos_token_id, std::nullopt);
  EXPECT_EQ(parsed(with("pad_token_id", 0)).pad_token_id, 0);
}

struct Refused {
  const char* key;
  json value;
  std::vector<std::string> parts;
};

TEST(Config, every_value_that_would_change_the_arithmetic_is_refused_by_key_and_value) {
  const std::vector<Refused> cases = {
      {"model_type", "gemma", {"gemma", "llama, mistral, qwen2, qwen3, smollm3"}},
      {"model_type", 7, {"7", "string"}},
      {"architectures", {"Qwen2ForCausalLM"}, {"Qwen2ForCausalLM", "LlamaForCausalLM"}},
      {"architectures", {"LlamaForSequenceClassification"}, {"LlamaForSequenceClassification"}},
      {"auto_map", {{"AutoModel", "x.Y"}}, {"x.Y"}},
      {"quantization_config", {{"bits", 4}}, {"bits"}},
      {"hidden_act", "gelu", {"gelu", "silu"}},
      {"attention_bias", 1, {"1", "true nor false"}},
      {"no_rope_layers", {1, 1, 1}, {"no_rope_layers", "llama"}},
      {"max_window_layers", 28, {"28", "llama"}},
      {"attention_dropout", 1, {"1", "below 1"}},
      {"attention_dropout", -0.1, {"-0.1"}},
      {"attention_dropout", "0.1", {"\"0.1\""}},
      {"num_experts", 8, {"8"}},
      {"num_local_experts", 8, {"8"}},
      {"num_experts_per_tok", 2, {"2"}},
      {"partial_rotary_factor", 0.5, {"0.5"}},
      {"rope_interleaved", true, {"true"}},
      {"layer_types", {"full_attention", "chunked_attention", "full_attention"}, {"chunked_attention"}},
      {"layer_types", {"full_attention"}, {"3 kinds"}},
      {"layer_types", {"full_attention", "sliding_attention", "full_attention"}, {"layer 1 slides"}},
      {"sliding_window", 128, {"128", "llama"}},
      {"use_sliding_window", true, {"true"}},
      {"attn_logit_softcapping", 50.0, {"50"}},
      {"final_logit_softcapping", 30.0, {"30"}},
      {"residual_multiplier", 0.22, {"0.22"}},
      {"embedding_multiplier", 12.0, {"12"}},
      {"logits_scaling", 8.0, {"8"}},
      {"scale_depth", 1.4, {"1.4"}},
      {"query_pre_attn_scalar", 256, {"256"}},
      {"per_layer_config", {1}, {"1"}},
      {"use_qk_norm", true, {"true"}},
      {"some_new_key", false, {"false", "not a known key"}},
      {"vocab_size", 0, {"0", "1 to"}},
      {"vocab_size", -5, {"-5"}},
      {"vocab_size", 512.0, {"512.0", "whole"}},
      {"vocab_size", 18446744073709551615u, {"18446744073709551615"}},
      {"hidden_size", "64", {"\"64\""}},
      {"hidden_size", 65, {"65", "num_attention_heads 8"}},
      {"num_key_value_heads", 3, {"3", "num_attention_heads 8"}},
      {"head_dim", 9, {"9", "odd"}},
      {"rms_norm_eps", 0.0, {"0.0"}},
      {"rms_norm_eps", nullptr, {"missing"}},
      {"rope_theta", -1, {"-1"}},
      {"initializer_range", -0.5, {"-0.5"}},
      {"tie_word_embeddings", 1, {"1", "true nor false"}},
      {"torch_dtype", "float8_e4m3fn", {"float8_e4m3fn"}},
      {"dtype", "int8", {"int8"}},
      {"bos_token_id", 512, {"512", "0 to 511"}},
      {"pad_token_id", -1, {"-1"}},
      {"eos_token_id", {2, 512}, {"512"}},
      {"eos_token_id", "2", {"\"2\""}},
  };
  for (const Refused& refused : cases) {
    SCOPED_TRACE(std::string(refused.key) + " " + refused.value.dump());
    std::vector<std::string> parts = refused.parts;
    parts.push_back(std::string(refused.key) + ": ");
    expect_parts(refusal(with(refused.key, refused.value)), parts);
  }
}

TEST(Config, a_missing_size_is_refused) {
  for (const char* key : {"model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "rms_norm_eps"}) {
    expect_parts(refusal(without(key)), {std::string(key) + ": is missing"});
  }
}

TEST(Config, sizes_whose_product_no_machine_counts_are_refused) {
  json config = plain_config();
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size"}) config[key] = 1 << 30;
  expect_parts(refusal(config), {"hidden_size", "parameters"});
}

TEST(Config, text_that_is_not_one_json_object_is_refused) {
  const Folder folder;
  for (const std::string& text :
       {std::string(""), std::string("[]"), std::string("{\"a\":1"),
        std::string("{\"vocab_size\":1,\"vocab_size\":2}"), std::string("{}\0{", 4)}) {
    const std::string path = write_text(folder / "config.json", text);
    expect_parts(message_of<FormatError>([&] { parse_config(path); }), {path});
  }
  expect_parts(message_of<FormatError>([&] { parse_config(folder / "none.json"); }),
               {"none.json", "No such file"});
}

TEST(Config, a_key_can_be_allowed_by_name_but_not_one_that_is_known_to_matter) {
  EXPECT_EQ(json::parse(parsed(with("some_new_key", 5), {"some_new_key"}).other_keys)["some_new_key"], 5);
  for (const char* key : {"quantization_config", "partial_rotary_factor"})
    expect_parts(refusal(with(key, 0.5), {key}), {std::string(key) + ": 0.5"});
}

TEST(Config, mistral_has_a_window_that_null_takes_away) {
  json config = plain_config();
  config["model_type"] = "mistral";
  config["architectures"] = {"MistralForCausalLM"};
  EXPECT_EQ(parsed(config).sliding_window, 4096);
  config["sliding_window"] = 128;
  EXPECT_EQ(parsed(config).sliding_window, 128);
  config["layer_types"] = {"sliding_attention", "sliding_attention", "sliding_attention"};
  EXPECT_EQ(parsed(config).sliding_window, 128);
  config["layer_types"][1] = "full_attention";
  expect_parts(refusal(config), {"layer_types", "sliding_attention"});
  config.erase("layer_types");
  config["sliding_window"] = nullptr;
  EXPECT_EQ(parsed(config).sliding_window, 0);
  config.erase("num_key_value_heads");
  expect_parts(refusal(config), {"num_key_value_heads", "missing"});
}

// A configuration with every field away from its default.
LlamaConfig unusual_config() {
  LlamaConfig config;
  config.vocab_size = 1025;
  config.hidden_size = 96;
  config.intermediate_size = 7;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 2;
  config.head_dim = 32;
  config.rms_norm_eps = 1.0 / 3.0;
  config.max_position_embeddings = 32768;
  config.rope_theta = 500000.0;
  config.tie_word_embeddings = true;
  config.bos_token_id = std::nullopt;
  config.eos_token_ids = {5, 6};
  config.pad_token_id = 0;
  config.initializer_range = 0.1;
  config.attention_dropout = 0.125;
  config.dtype = "bfloat16";
  config.other_keys = R"({"use_cache":true})";
  return config;
}

std::vector<RopeScaling> scalings() {
  RopeScaling linear{.type = RopeScaling::Type::linear, .factor = 2.5};
  RopeScaling llama3{.type = RopeScaling::Type::llama3,
                     .factor = 8.0,
                     .original_max_position_embeddings = 8192,
                     .low_freq_factor = 1.5,
                     .high_freq_factor = 4.5};
  RopeScaling yarn{.type = RopeScaling::Type::yarn, .factor = 4.0, .original_max_position_embeddings = 8192};
  RopeScaling full_yarn = yarn;
  full_yarn.beta_fast = 30;
  full_yarn.beta_slow = 2;
  full_yarn.truncate = false;
  full_yarn.attention_factor = 1.25;
  full_yarn.mscale = 0.7;
  full_yarn.mscale_all_dim = 0.0;
  RopeScaling present_yarn{
      .type = RopeScaling::Type::yarn, .factor = 4.0, .original_max_position_embeddings = 32768};
  RopeScaling dynamic{.type = RopeScaling::Type::dynamic, .factor = 2.0};
  return {{}, linear, dynamic, llama3, yarn, full_yarn, present_yarn};
}

TEST(Config, what_is_written_is_parsed_as_the_same_model) {
  const Folder folder;
  for (const RopeScaling& scaling : scalings()) {
    LlamaConfig config = unusual_config();
    config.rope_scaling = scaling;
    write_config(folder / "config.json", config);
    EXPECT_EQ(parse_config(folder / "config.json"), config) << read_bytes(folder / "config.json");
  }
  LlamaConfig mistral = unusual_config();
  mistral.model_type = "mistral";
  for (const int64_t window : {0, 77}) {
    mistral.sliding_window = window;
    write_config(folder / "config.json", mistral);
    EXPECT_EQ(parse_config(folder / "config.json"), mistral);
  }
}

// The files of transformers 4 and 5: each spelling alone must be the same model.
TEST(Config, both_spellings_are_written_and_each_alone_is_enough) {
  for (const RopeScaling& scaling : scalings()) {
    LlamaConfig config = unusual_config();
    config.rope_scaling = scaling;
    json older = json::parse(config_text(config)), newer = older;
    EXPECT_EQ(older["torch_dtype"], older["dtype"]);
    older.erase("rope_parameters");
    older.erase("dtype");
    newer.erase("rope_scaling");
    newer.erase("rope_theta");
    newer.erase("torch_dtype");
    EXPECT_EQ(parsed(older), config);
    EXPECT_EQ(parsed(newer), config);
  }
}

TEST(Config, writing_a_config_that_does_not_fit_together_is_refused_before_the_file_is_touched) {
  const Folder folder;
  LlamaConfig config = unusual_config();
  config.num_key_value_heads = 4;
  expect_parts(message_of<FormatError>([&] { write_config(folder / "config.json", config); }),
               {"num_key_value_heads", "4", "6"});
  EXPECT_TRUE(folder.names().empty());
}

TEST(Config, parameters_are_counted_as_the_tensors_hold_them) {
  LlamaConfig config = unusual_config();
  for (const bool tied : {true, false}) {
    config.tie_word_embeddings = tied;
    int64_t elements = 0;
    for (const ModelTensor& tensor : model_tensors(config)) elements += tensor.rows * tensor.columns;
    EXPECT_EQ(parameter_count(config), elements);
  }
}

}  // namespace
}  // namespace lethe
