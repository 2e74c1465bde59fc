// A model written again in another type and other shards.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "model/weights/model_files.h"
#include "model/weights/names.h"
#include "tests/files.h"
#include "tests/run/process.h"

namespace lethe::test {
namespace {

const std::string kQwen = LETHE_SOURCE_DIR "/tests/golden/families/qwen3_biases_window";

std::vector<double> values_of(const ModelFiles& files, const std::string& name) {
  const StoredTensor stored = files.require(name);
  std::vector<double> values(static_cast<size_t>(elements_of(stored.entry->shape)));
  stored.read({values.data(), DType::f64, 0});
  return values;
}

TEST(ConvertCommand, values_are_rounded_once_and_all_else_is_kept) {
  const Folder made;
  const std::string model = made / "model", narrow = made / "narrow", wide = made / "wide";
  std::filesystem::copy(kQwen, model);
  nlohmann::json config = nlohmann::json::parse(read_bytes(model + "/config.json"));
  config["unsloth_version"] = "kept";
  write_text(model + "/config.json", config.dump());
  write_text(model + "/generation_config.json", "{}");
  write_text(model + "/chat_template.jinja", "{{ messages }}");
  write_text(model + "/README.md", "not of the model");

  const auto convert = [&](const std::string& from, const std::string& to, const std::string& dtype,
                           const std::string& shard) {
    return lethe_command({"convert", from, "--output", to, "--dtype", dtype, "--shard-size", shard});
  };
  CommandResult run = convert(model, narrow, "bf16", "0.000005");  // 5000 bytes
  ASSERT_EQ(run.status, 0) << run.err;
  const ModelFiles before = ModelFiles::open(model), after = ModelFiles::open(narrow);
  EXPECT_GT(after.files().size(), 2u);
  EXPECT_TRUE(after.path().ends_with("model.safetensors.index.json"));
  for (const auto& file : after.files()) EXPECT_EQ(file->metadata().at("format"), "pt");
  const LlamaConfig parsed = parse_config(narrow + "/config.json");
  EXPECT_EQ(parsed.dtype, "bfloat16");
  nlohmann::json written = nlohmann::json::parse(read_bytes(narrow + "/config.json"));
  written["dtype"] = config["dtype"];
  EXPECT_EQ(written, config);
  EXPECT_EQ(read_bytes(narrow + "/chat_template.jinja"), "{{ messages }}");
  EXPECT_EQ(read_bytes(narrow + "/generation_config.json"), "{}");
  EXPECT_FALSE(std::filesystem::exists(narrow + "/README.md"));

  run = convert(narrow, wide, "fp32", "5");
  ASSERT_EQ(run.status, 0) << run.err;
  const ModelFiles again = ModelFiles::open(wide);
  EXPECT_EQ(again.files().size(), 1u);
  for (const ModelTensor& t : model_tensors(parsed)) {
    EXPECT_EQ(after.require(t.hf_name).entry->type, StoredType::bf16);
    EXPECT_EQ(again.require(t.hf_name).entry->type, StoredType::f32);
    const auto first = values_of(before, t.hf_name), rounded = values_of(after, t.hf_name);
    EXPECT_EQ(rounded, values_of(again, t.hf_name));
    for (size_t i = 0; i < first.size(); ++i)  // half a unit in the last of bf16's 8 bits
      EXPECT_LE(std::abs(rounded[i] - first[i]), std::ldexp(std::abs(first[i]), -8)) << t.hf_name;
  }
}

TEST(ConvertCommand, what_the_type_cannot_hold_is_refused_with_its_place_and_nothing_is_written) {
  const Folder made;
  const std::string model = made / "model";
  std::filesystem::copy(kQwen, model);
  const LlamaConfig config = parse_config(model + "/config.json");
  std::vector<TensorToWrite> tensors;
  std::vector<std::vector<float>> values;
  for (const ModelTensor& t : model_tensors(config)) {
    values.emplace_back(static_cast<size_t>(t.rows * t.columns), 1.0f);
    if (t.hf_name == "model.layers.1.mlp.up_proj.weight") values.back()[30] = 70000.0f;
    tensors.push_back(
        tensor_to_write(t.hf_name, StoredType::f32, t.shape(), values.back().data(), DType::f32));
  }
  write_model(model, tensors);
  CommandResult run = lethe_command({"convert", model, "--output", made / "out", "--dtype", "fp16"});
  EXPECT_EQ(run.status, 2);
  expect_parts(run.err, {"model.layers.1.mlp.up_proj.weight", "element 30", "F16"});
  EXPECT_FALSE(std::filesystem::exists(made / "out/model.safetensors"));
  EXPECT_FALSE(std::filesystem::exists(made / "out/config.json"));
  run = lethe_command({"convert", model, "--output", model});
  EXPECT_EQ(run.status, 2);
  expect_parts(run.err, {"own folder"});
}

}  // namespace
}  // namespace lethe::test
