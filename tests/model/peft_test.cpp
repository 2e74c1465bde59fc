#include "model/weights/peft.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/files/safetensors.h"
#include "model/weights/names.h"
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
    tensors.push_back(tensor_to_write(t.file_name, StoredType::f32, t.shape, zeros.data(), DType::f32));
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
                                                           {"rank_pattern", {{"q_proj", 0}}},
                                                           {"rank_pattern", {{"q_proj", 1.5}}},
                                                           {"alpha_pattern", {{"q_proj", "4"}}},
                                                           {"alpha_pattern", {1}},
                                                           {"modules_to_save", {1}},
                                                           {"exclude_modules", {{"a", 1}}},
                                                           {"layers_to_transform", {-1}},
                                                           {"layers_to_transform", "0"},
                                                           {"layers_pattern", 3},
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
  expect_parts(refused([](LoraConfig& c) { c.target_expression = "q(?R)"; }),
               {"target_modules", "q(?R)", "(?R"});
  expect_parts(refused([](LoraConfig& c) { c.target_expression = "q("; }), {"target_modules", "q("});
  expect_parts(refused([](LoraConfig& c) { c.rank_pattern = {{"q\\Z", 4}}; }), {"rank_pattern", "\\Z"});
  expect_parts(refused([](LoraConfig& c) { c.layers_pattern = {"layers"}; }), {"layers_to_transform"});
  expect_parts(refused([](LoraConfig& c) {
                 c.target_expression = ".*q_proj";
                 c.layers_to_transform = {0};
               }),
               {"layers_to_transform", "regular expression"});
  expect_parts(refused([](LoraConfig& c) {
                 c.target_modules = {"q_proj", "q_proj"};
               }),
               {"q_proj", "2 times"});
}

// The full names of the maps that a configuration adapts, without "model.layers.".
std::vector<std::string> adapted(const LoraConfig& lora) {
  std::vector<std::string> found;
  for (const LinearModule& m : linear_modules(small_model())) {
    if (adapter_of(lora, m.path)) found.push_back(m.path.substr(std::string("model.layers.").size()));
  }
  return found;
}

// The same rules as in PEFT's check_target_module_exists and get_pattern_key; tests/golden/peft holds what
// PEFT itself made of such configurations.
TEST(Targets, are_found_by_end_of_name_by_expression_and_by_layer) {
  using Names = std::vector<std::string>;
  LoraConfig lora;
  lora.target_modules = {"1.mlp.up_proj", "k_proj"};
  EXPECT_EQ(adapted(lora), (Names{"0.self_attn.k_proj", "1.self_attn.k_proj", "1.mlp.up_proj"}));
  lora.target_modules = {"k_proj", "model.layers.1.mlp.up_proj", "proj"};
  lora.layers_to_transform = {0};
  EXPECT_EQ(adapted(lora), (Names{"0.self_attn.k_proj", "1.mlp.up_proj"})) << "a full name holds everywhere";
  lora.layers_pattern = {"blocks"};
  EXPECT_EQ(adapted(lora), (Names{"1.mlp.up_proj"}));
  lora.layers_pattern = {"blocks", "layers"};
  EXPECT_EQ(adapted(lora), (Names{"0.self_attn.k_proj", "1.mlp.up_proj"}));
  lora = {};
  lora.target_modules.clear();
  lora.target_expression = R"(.*\.(0|7)\..*(q|up)_proj)";
  EXPECT_EQ(adapted(lora), (Names{"0.self_attn.q_proj", "0.mlp.up_proj"}));
  lora.exclude_expression = R"(.*up_pro.)";
  EXPECT_EQ(adapted(lora), (Names{"0.self_attn.q_proj"}));
  lora.exclude_expression.clear();
  lora.exclude_modules = {"self_attn.q_proj", "p_proj"};
  EXPECT_EQ(adapted(lora), (Names{"0.mlp.up_proj"}));
  lora.target_expression = "q_proj";
  EXPECT_EQ(adapted(lora), Names{}) << "the whole name must match";
}

TEST(Targets, have_ranks_of_their_own_by_the_first_pattern_that_matches) {
  LoraConfig lora{.rank = 4, .alpha = 8};
  lora.target_modules = lora_targets();
  lora.rank_pattern = {{"layers.1.self_attn.q_proj", 2}, {"q_proj", 16}, {R"(.*\.mlp\..*)", 1}};
  lora.alpha_pattern = {{"q_proj", 32}};
  const auto of = [&](const char* module) {
    return *adapter_of(lora, std::string("model.layers.") + module);
  };
  EXPECT_EQ(of("1.self_attn.q_proj").rank, 2);
  EXPECT_EQ(of("1.self_attn.q_proj").scale, 16.0);
  EXPECT_EQ(of("0.self_attn.q_proj").rank, 16);
  EXPECT_EQ(of("0.self_attn.q_proj").scale, 2.0);
  EXPECT_EQ(of("0.self_attn.k_proj").rank, 4);
  EXPECT_EQ(of("0.mlp.up_proj").scale, 8.0);
  lora.use_rslora = true;
  EXPECT_EQ(of("0.self_attn.q_proj").scale, 8.0) << "alpha 32 over the root of rank 16";
}

TEST(Targets, that_cannot_be_adapted_or_saved_are_refused_by_name) {
  const auto refused = [](auto change) {
    LoraConfig lora;
    change(lora);
    return message_of<ConfigError>([&] { check_lora_config(lora, small_model()); });
  };
  expect_parts(refused([](LoraConfig& c) { c.target_modules = {"lm_head"}; }), {"target_modules", "lm_head"});
  expect_parts(refused([](LoraConfig& c) { c.target_modules = {"q_proj", "qkv"}; }), {"'qkv'", "gate_proj"});
  expect_parts(refused([](LoraConfig& c) {
                 c.target_modules.clear();
                 c.target_expression = ".*embed.*|.*q_proj";
               }),
               {"target_modules", "model.embed_tokens"});
  expect_parts(refused([](LoraConfig& c) { c.exclude_modules = {"q_proj", "v_proj"}; }), {"finds no module"});
  expect_parts(refused([](LoraConfig& c) { c.modules_to_save = {"o_proj"}; }),
               {"modules_to_save", "model.layers.0.self_attn.o_proj"});
  expect_parts(refused([](LoraConfig& c) { c.modules_to_save = {"score"}; }), {"'score'", "no module"});
}

TEST(Adapter, names_and_shapes_are_pefts) {
  const auto tensors = adapter_tensors(small_model(), small_lora());
  ASSERT_EQ(tensors.size(), 8u);
  EXPECT_EQ(tensors[0].name, "model.layers.0.self_attn.k_proj.lora_A.weight");
  EXPECT_EQ(tensors[0].file_name, "base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight");
  EXPECT_EQ(tensors[0].shape, (Shape{3, 8}));
  EXPECT_EQ(tensors[7].name, "model.layers.1.mlp.down_proj.lora_B.weight");
  EXPECT_EQ(tensors[7].shape, (Shape{8, 3}));
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

TEST(Adapter, everything_a_configuration_can_say_is_written_and_read) {
  LoraConfig lora = small_lora();
  lora.exclude_modules = {"layers.0.mlp.down_proj"};
  lora.layers_to_transform = {0, 1};
  lora.layers_pattern = {"layers"};
  lora.rank_pattern = {{"layers.1.self_attn.k_proj", 5}, {"k_proj", 2}};
  lora.alpha_pattern = {{"z", 2.5}, {"k_proj", 4}};
  lora.modules_to_save = {"lm_head", "model.norm"};
  lora.gaussian_init = lora.use_dora = true;
  const Folder folder;
  write_adapter(folder.path(), lora, tensors_of(small_model(), lora));
  EXPECT_EQ(open_adapter(folder.path(), small_model()).config, lora);
  const std::vector<AdapterTensor> tensors = adapter_tensors(small_model(), lora);
  ASSERT_EQ(tensors.size(), 11u);
  EXPECT_EQ(tensors[2].file_name, "base_model.model.model.layers.0.self_attn.k_proj.lora_magnitude_vector");
  EXPECT_EQ(tensors[3].shape, (Shape{5, 8}));
  EXPECT_EQ(tensors[9].file_name, "base_model.model.model.norm.weight");
  EXPECT_EQ(tensors[9].shape, (Shape{8}));
  EXPECT_EQ(tensors[10].file_name, "base_model.model.lm_head.weight");
  lora.target_modules.clear();
  lora.target_expression = ".*k_proj";
  lora.exclude_modules.clear();
  lora.exclude_expression = ".*0.*";
  lora.layers_to_transform.clear();
  lora.layers_pattern.clear();
  write_adapter(folder.path(), lora, tensors_of(small_model(), lora));
  EXPECT_EQ(open_adapter(folder.path(), small_model()).config, lora);
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
