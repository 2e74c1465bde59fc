#include "model/weights/names.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/files.h"

namespace lethe {
namespace {

using test::expect_parts;
using test::Folder;
using test::message_of;

LlamaConfig small_config() {
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

const std::vector<float> zeros(4096, 0.0f);
const std::vector<float> ones(4096, 1.0f);

std::vector<TensorToWrite> tensors_of(const LlamaConfig& config) {
  std::vector<TensorToWrite> tensors;
  for (const ModelTensor& tensor : model_tensors(config)) {
    tensors.push_back(
        tensor_to_write(tensor.hf_name, StoredType::f32, tensor.shape(), zeros.data(), DType::f32));
  }
  return tensors;
}

TEST(ModelTensors, names_and_shapes_are_hugging_faces) {
  const auto tensors = model_tensors(small_config());
  ASSERT_EQ(tensors.size(), 2u * 9 + 3);
  const auto shape_of = [&](const std::string& name) {
    for (const ModelTensor& tensor : tensors) {
      if (tensor.hf_name == name) return tensor.shape();
    }
    return Shape{};
  };
  EXPECT_EQ(shape_of("model.embed_tokens.weight"), (Shape{11, 8}));
  EXPECT_EQ(shape_of("model.layers.1.self_attn.q_proj.weight"), (Shape{24, 8}));
  EXPECT_EQ(shape_of("model.layers.1.self_attn.k_proj.weight"), (Shape{12, 8}));
  EXPECT_EQ(shape_of("model.layers.1.self_attn.v_proj.weight"), (Shape{12, 8}));
  EXPECT_EQ(shape_of("model.layers.1.self_attn.o_proj.weight"), (Shape{8, 24}));
  EXPECT_EQ(shape_of("model.layers.0.mlp.gate_proj.weight"), (Shape{7, 8}));
  EXPECT_EQ(shape_of("model.layers.0.mlp.up_proj.weight"), (Shape{7, 8}));
  EXPECT_EQ(shape_of("model.layers.0.mlp.down_proj.weight"), (Shape{8, 7}));
  EXPECT_EQ(shape_of("model.layers.0.input_layernorm.weight"), Shape{8});
  EXPECT_EQ(shape_of("model.layers.0.post_attention_layernorm.weight"), Shape{8});
  EXPECT_EQ(shape_of("model.norm.weight"), Shape{8});
  EXPECT_EQ(shape_of("lm_head.weight"), (Shape{11, 8}));
}

TEST(ModelTensors, merged_matrices_hold_their_parts_on_top_of_each_other) {
  const auto merged = merged_tensors(small_config());
  ASSERT_EQ(merged.size(), 4u);
  EXPECT_EQ(merged[2].name, "model.layers.1.self_attn.qkv_proj.weight");
  EXPECT_EQ(merged[2].rows, 48);
  EXPECT_EQ(merged[2].columns, 8);
  ASSERT_EQ(merged[2].parts.size(), 3u);
  EXPECT_EQ(merged[2].parts[1].name, "model.layers.1.self_attn.k_proj.weight");
  EXPECT_EQ(merged[2].parts[1].first_row, 24);
  EXPECT_EQ(merged[2].parts[2].first_row, 36);
  EXPECT_EQ(merged[3].name, "model.layers.1.mlp.gate_up_proj.weight");
  EXPECT_EQ(merged[3].rows, 14);
  ASSERT_EQ(merged[3].parts.size(), 2u);
  EXPECT_EQ(merged[3].parts[1].name, "model.layers.1.mlp.up_proj.weight");
  EXPECT_EQ(merged[3].parts[1].first_row, 7);
}

std::string refusal(const LlamaConfig& config, const std::vector<TensorToWrite>& tensors) {
  const Folder folder;
  write_model(folder.path(), tensors);
  const std::string message =
      message_of<FormatError>([&] { check_model_files(ModelFiles::open(folder.path()), config); });
  expect_parts(message, {folder / "model.safetensors"});
  return message;
}

void expect_accepted(const LlamaConfig& config, const std::vector<TensorToWrite>& tensors) {
  const Folder folder;
  write_model(folder.path(), tensors, 512);
  EXPECT_NO_THROW(check_model_files(ModelFiles::open(folder.path()), config));
}

TEST(CheckModelFiles, missing_misshapen_and_unexpected_tensors_are_refused_by_name) {
  const LlamaConfig config = small_config();
  expect_accepted(config, tensors_of(config));
  for (size_t i = 0; i < tensors_of(config).size(); ++i) {
    auto tensors = tensors_of(config);
    const std::string name = tensors[i].name;
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(i));
    expect_parts(refusal(config, tensors), {name + ": ", "missing"});
  }
  auto tensors = tensors_of(config);
  tensors[1] = tensor_to_write(tensors[1].name, StoredType::f32, {8, 24}, zeros.data(), DType::f32);
  expect_parts(refusal(config, tensors), {tensors[1].name, "[8, 24]", "[24, 8]"});
  tensors = tensors_of(config);
  tensors.push_back(tensor_to_write("model.layers.0.self_attn.q_proj.bias", StoredType::f32, {24},
                                    zeros.data(), DType::f32));
  expect_parts(refusal(config, tensors), {"q_proj.bias", "no tensor of the model", "[24]"});
  tensors = tensors_of(config);
  tensors[0].type = StoredType::f8_e4m3;
  tensors[0].fill = [](int64_t, int64_t, std::byte*) {};
  expect_parts(refusal(config, tensors), {tensors[0].name, "F8_E4M3"});
}

TEST(CheckModelFiles, the_rotary_tables_of_old_exports_are_let_pass) {
  const LlamaConfig config = small_config();
  auto tensors = tensors_of(config);
  const auto table = [](const std::string& layer) {
    return tensor_to_write("model.layers." + layer + ".self_attn.rotary_emb.inv_freq", StoredType::f32, {3},
                           zeros.data(), DType::f32);
  };
  tensors.push_back(table("0"));
  tensors.push_back(table("1"));
  expect_accepted(config, tensors);
  tensors.push_back(table("2"));
  expect_parts(refusal(config, tensors), {"model.layers.2.self_attn.rotary_emb.inv_freq"});
}

TEST(CheckModelFiles, a_tied_model_may_store_its_head_only_as_an_exact_copy) {
  LlamaConfig config = small_config();
  config.tie_word_embeddings = true;
  const auto head = [](StoredType type, Shape shape, const std::vector<float>& values) {
    return tensor_to_write("lm_head.weight", type, std::move(shape), values.data(), DType::f32);
  };
  auto tensors = tensors_of(config);
  expect_accepted(config, tensors);
  tensors.push_back(head(StoredType::f32, {11, 8}, zeros));
  expect_accepted(config, tensors);
  tensors.back() = head(StoredType::f32, {11, 8}, ones);
  expect_parts(refusal(config, tensors), {"lm_head.weight", "differs", "tie_word_embeddings"});
  tensors.back() = head(StoredType::bf16, {11, 8}, zeros);
  expect_parts(refusal(config, tensors), {"lm_head.weight", "BF16", "F32"});
  tensors.back() = head(StoredType::f32, {88}, zeros);
  expect_parts(refusal(config, tensors), {"lm_head.weight", "[88]", "[11, 8]"});
  tensors.back() = head(StoredType::f32, {11, 8}, zeros);
  tensors.erase(tensors.begin());
  expect_parts(refusal(config, tensors), {"model.embed_tokens.weight", "missing"});
}

TEST(CheckModelFiles, the_stories_model_loads_whole) {
  const std::string folder = LETHE_SHARED_DATA "/models/stories260K-hf";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the shared data are not there";
  const LlamaConfig config = parse_config(folder + "/config.json");
  EXPECT_EQ(config.num_hidden_layers, 5);
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_TRUE(config.tie_word_embeddings);
  const ModelFiles files = ModelFiles::open(folder);
  EXPECT_EQ(files.tensors().size(), 47u);
  check_model_files(files, config);
  int64_t elements = 0;
  for (const ModelTensor& tensor : model_tensors(config)) {
    std::vector<float> values(static_cast<size_t>(tensor.rows * tensor.columns));
    files.require(tensor.hf_name).read({values.data(), DType::f32, 0});
    elements += tensor.rows * tensor.columns;
    EXPECT_TRUE(std::any_of(values.begin(), values.end(), [](float v) { return v != 0.0f; }))
        << tensor.hf_name;
  }
  EXPECT_EQ(elements, parameter_count(config));
}

}  // namespace
}  // namespace lethe
