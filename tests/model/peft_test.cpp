#include "model/weights/peft.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/files/safetensors.h"
#include "tests/files.h"

namespace lethe {
namespace {

using nlohmann::json;
using test::expect_parts;
using test::Folder;
using test::message_of;
using test::write_text;

LlamaConfig small_model() {
  LlamaConfig config;
  config.vocab_size = 11;
  config.hidden_size = 8;
  config.intermediate_size = 7;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 6;
  return config;
}

LoraConfig small_lora() {
  LoraConfig lora;
  lora.rank = 3;
  lora.alpha = 6;
  lora.dropout = 0.25;
  lora.target_modules = {"k_proj", "down_proj"};
  lora.base_model_name = "base";
  return lora;
}

const std::vector<float> zeros(256, 0.0f);

std::vector<TensorToWrite> tensors_of(const LlamaConfig& model, const LoraConfig& lora) {
  std::vector<TensorToWrite> tensors;
  for (const AdapterTensor& t : adapter_tensors(model, lora)) {
    tensors.push_back(
        tensor_to_write(t.file_name, StoredType::f32, {t.rows, t.columns}, zeros.data(), DType::f32));
  }
  return tensors;
}

// As PEFT writes it, with keys of newer releases.
json peft_config() {
  return {{"alpha_pattern", json::object()},
          {"arrow_config", nullptr},
          {"auto_mapping", nullptr},
          {"base_model_name_or_path", "base"},
          {"bias", "none"},
          {"corda_config", nullptr},
          {"ensure_weight_tying", false},
          {"eva_config", nullptr},
          {"exclude_modules", nullptr},
          {"fan_in_fan_out", false},
          {"inference_mode", true},
          {"init_lora_weights", true},
          {"layer_replication", nullptr},
          {"layers_pattern", nullptr},
          {"layers_to_transform", nullptr},
          {"loftq_config", json::object()},
          {"lora_alpha", 6},
          {"lora_bias", false},
          {"lora_dropout", 0.25},
          {"megatron_config", nullptr},
          {"megatron_core", "megatron.core"},
          {"modules_to_save", nullptr},
          {"peft_type", "LORA"},
          {"peft_version", "0.18.0"},
          {"qalora_group_size", 16},
          {"r", 3},
          {"rank_pattern", json::object()},
          {"revision", nullptr},
          {"target_modules", {"down_proj", "k_proj"}},
          {"target_parameters", nullptr},
          {"task_type", "CAUSAL_LM"},
          {"trainable_token_indices", nullptr},
          {"use_dora", false},
          {"use_qalora", false},
          {"use_rslora", false}};
}

LoraConfig parsed(const json& value) {
  const Folder folder;
  return parse_lora_config(write_text(folder / "adapter_config.json", value.dump()));
}

json with(const std::string& key, const json& value) {
  json config = peft_config();
  config[key] = value;
  return config;
}

TEST(LoraConfig, a_file_of_peft_is_read) {
  EXPECT_EQ(parsed(peft_config()), small_lora());
}

TEST(LoraConfig, the_least_file_takes_pefts_defaults) {
  const LoraConfig lora = parsed({{"peft_type", "LORA"}, {"target_modules", {"o_proj"}}});
  EXPECT_EQ(lora.rank, 8);
  EXPECT_EQ(lora.alpha, 8.0);
  EXPECT_EQ(lora.dropout, 0.0);
  EXPECT_FALSE(lora.use_rslora);
}

TEST(LoraConfig, targets_may_be_named_in_several_ways) {
  EXPECT_EQ(parsed(with("target_modules", "all-Linear")).target_modules, lora_targets());
  EXPECT_EQ(parsed(with("target_modules", nullptr)).target_modules,
            (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(parsed(with("target_modules", {"mlp.up_proj", "self_attn.q_proj"})).target_modules,
            (std::vector<std::string>{"q_proj", "up_proj"}));
}

TEST(LoraConfig, what_is_not_implemented_is_refused_by_key_and_value) {
  const std::vector<std::pair<std::string, json>> cases = {{"peft_type", "IA3"},
                                                           {"task_type", "SEQ_CLS"},
                                                           {"bias", "all"},
                                                           {"bias", "lora_only"},
                                                           {"use_dora", true},
                                                           {"lora_bias", true},
                                                           {"use_qalora", true},
                                                           {"layer_replication", {{0, 1}}},
                                                           {"target_parameters", {"x"}},
                                                           {"trainable_token_indices", {1}},
                                                           {"alora_invocation_tokens", {1}},
                                                           {"velora_config", {{"a", 1}}},
                                                           {"monteclora_config", {{"a", 1}}},
                                                           {"kasa_config", {{"a", 1}}},
                                                           {"arrow_config", {{"a", 1}}},
                                                           {"use_bdlora", true},
                                                           {"ensure_weight_tying", true},
                                                           {"megatron_config", {{"a", 1}}},
                                                           {"fan_in_fan_out", true},
                                                           {"rank_pattern", {{"q_proj", 4}}},
                                                           {"alpha_pattern", {{"q_proj", 4}}},
                                                           {"modules_to_save", {"lm_head"}},
                                                           {"exclude_modules", {"q_proj"}},
                                                           {"layers_to_transform", {0}},
                                                           {"layers_to_transform", 0},
                                                           {"layers_pattern", "layers"},
                                                           {"auto_mapping", {{"a", "b"}}},
                                                           {"loftq_config", {{"bits", 4}}},
                                                           {"init_lora_weights", "pissa"},
                                                           {"init_lora_weights", "pissa_niter_4"},
                                                           {"init_lora_weights", "olora"},
                                                           {"init_lora_weights", "loftq"},
                                                           {"init_lora_weights", "corda"},
                                                           {"init_lora_weights", "lora_ga"},
                                                           {"some_new_key", 1},
                                                           {"some_new_key", "on"},
                                                           {"target_modules", ".*q_proj"},
                                                           {"target_modules", {"q_proj", "lm_head"}},
                                                           {"target_modules", {7}},
                                                           {"target_modules", json::array()},
                                                           {"r", 0},
                                                           {"r", 2.5},
                                                           {"lora_alpha", 0},
                                                           {"lora_alpha", "8"},
                                                           {"lora_dropout", 1.0},
                                                           {"lora_dropout", -0.1},
                                                           {"use_rslora", 1}};
  const Folder folder;
  for (const auto& [key, value] : cases) {
    SCOPED_TRACE(key + " " + value.dump());
    const std::string path = write_text(folder / "adapter_config.json", with(key, value).dump());
    expect_parts(message_of<FormatError>([&] { parse_lora_config(path); }),
                 {path, key + ": " + value.dump()});
  }
  const std::string path = write_text(folder / "adapter_config.json", "{\"r\":4}");
  expect_parts(message_of<FormatError>([&] { parse_lora_config(path); }), {path, "peft_type"});
}

TEST(LoraConfig, the_scale_is_alpha_over_rank_or_over_its_root) {
  LoraConfig lora{.rank = 16, .alpha = 32};
  EXPECT_EQ(lora.scale(), 2.0);
  lora.use_rslora = true;
  EXPECT_EQ(lora.scale(), 8.0);
}

TEST(LoraConfig, wrong_requests_are_refused_by_field) {
  const auto refused = [](auto change) {
    LoraConfig lora;
    change(lora);
    return message_of<ConfigError>([&] { check_lora_config(lora); });
  };
  expect_parts(refused([](LoraConfig& c) { c.rank = 0; }), {"r: ", "0"});
  expect_parts(refused([](LoraConfig& c) { c.alpha = -1; }), {"lora_alpha: ", "-1"});
  expect_parts(refused([](LoraConfig& c) { c.dropout = 1; }), {"lora_dropout: ", "1"});
  expect_parts(refused([](LoraConfig& c) { c.target_modules.clear(); }), {"target_modules"});
  expect_parts(refused([](LoraConfig& c) { c.target_modules = {"qkv"}; }),
               {"target_modules", "qkv", "gate_proj"});
  expect_parts(refused([](LoraConfig& c) {
                 c.target_modules = {"q_proj", "q_proj"};
               }),
               {"q_proj", "2 times"});
}

TEST(Adapter, names_and_shapes_are_pefts) {
  const auto tensors = adapter_tensors(small_model(), small_lora());
  ASSERT_EQ(tensors.size(), 8u);
  EXPECT_EQ(tensors[0].name, "model.layers.0.self_attn.k_proj.lora_A.weight");
  EXPECT_EQ(tensors[0].file_name, "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight");
  EXPECT_EQ(tensors[0].rows, 3);
  EXPECT_EQ(tensors[0].columns, 8);
  EXPECT_EQ(tensors[7].name, "model.layers.1.mlp.down_proj.lora_B.weight");
  EXPECT_EQ(tensors[7].rows, 8);
  EXPECT_EQ(tensors[7].columns, 3);
}

TEST(Adapter, what_is_written_is_opened_as_the_same) {
  const Folder folder;
  for (const double alpha : {6.0, 6.5}) {
    LoraConfig lora = small_lora();
    lora.alpha = alpha;
    lora.use_rslora = alpha != 6.0;
    write_adapter(folder.path(), lora, tensors_of(small_model(), lora));
    const AdapterFiles files = open_adapter(folder.path(), small_model());
    EXPECT_EQ(files.config, lora);
    EXPECT_EQ(files.weights->entries().size(), 8u);
    EXPECT_EQ(files.weights->metadata().at("format"), "pt");
  }
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"adapter_config.json", "adapter_model.safetensors"}));
}

TEST(Adapter, missing_misshapen_and_unexpected_tensors_are_refused) {
  const Folder folder;
  const auto refusal = [&](const std::vector<TensorToWrite>& tensors) {
    write_adapter(folder.path(), small_lora(), tensors);
    return message_of<FormatError>([&] { open_adapter(folder.path(), small_model()); });
  };
  auto tensors = tensors_of(small_model(), small_lora());
  const TensorToWrite last = tensors.back();
  tensors.pop_back();
  expect_parts(refusal(tensors), {folder / "adapter_model.safetensors", last.name, "missing"});
  tensors.push_back(tensor_to_write(last.name, StoredType::f32, {8, 4}, zeros.data(), DType::f32));
  expect_parts(refusal(tensors), {last.name, "[8, 4]", "rank 3", "[8, 3]"});
  tensors.back() = last;
  tensors.push_back(
      tensor_to_write("base_model.model.lm_head.weight", StoredType::f32, {11, 8}, zeros.data(), DType::f32));
  expect_parts(refusal(tensors), {"base_model.model.lm_head.weight", "[11, 8]"});
}

TEST(Adapter, a_pickle_is_never_read) {
  const Folder folder;
  write_text(folder / "adapter_config.json", peft_config().dump());
  write_text(folder / "adapter_model.bin", "pickle");
  expect_parts(message_of<FormatError>([&] { open_adapter(folder.path(), small_model()); }),
               {folder.path(), "adapter_model.bin", "pickle"});
}

}  // namespace
}  // namespace lethe
