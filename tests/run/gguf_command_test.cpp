// Models as GGUF files: written, read and written back, and used where a folder may stand.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/files/gguf.h"
#include "engine/files/half.h"
#include "engine/files/safetensors.h"
#include "model/weights/gguf_model.h"
#include "model/weights/names.h"
#include "tests/files.h"
#include "tests/run/process.h"

namespace lethe::test {
namespace {

const std::string kFamilies = LETHE_SOURCE_DIR "/tests/golden/families/";

std::vector<float> values_of(const ModelFiles& files, const std::string& name) {
  const StoredTensor stored = files.require(name);
  std::vector<float> values(static_cast<size_t>(stored.entry->elements()));
  stored.read({values.data(), DType::f32, 0});
  return values;
}

CommandResult convert(const std::string& from, const std::string& to) {
  return lethe_command({"convert", from, "--output", to});
}

class GgufFamilies : public testing::TestWithParam<const char*> {};

TEST_P(GgufFamilies, WrittenAndReadBackIsTheSameModel) {
  const Folder made;
  const std::string folder = kFamilies + GetParam(), file = made / "model.gguf", back = made / "back";
  CommandResult run = convert(folder, file);
  ASSERT_EQ(run.status, 0) << run.err;
  const LlamaConfig before = parse_config(folder + "/config.json"), after = read_model_config(file);
  LlamaConfig expected = before;
  expected.pad_token_id = after.pad_token_id;  // not in the file
  expected.dtype = after.dtype;
  expected.other_keys = after.other_keys;
  expected.initializer_range = after.initializer_range;
  expected.rope_theta = after.rope_theta;  // is a float there
  EXPECT_NEAR(before.rope_theta, after.rope_theta, 1e-7 * before.rope_theta);
  expected.bos_token_id = after.bos_token_id;  // without a tokenizer there are none
  expected.eos_token_ids = after.eos_token_ids;
  EXPECT_EQ(config_text(expected), config_text(after));

  const ModelFiles old_files = ModelFiles::open(folder), new_files = ModelFiles::open(file);
  for (const ModelTensor& t : model_tensors(before)) {
    std::vector<float> old_values = values_of(old_files, t.hf_name);
    if (!t.is_vector) {
      for (float& v : old_values) v = static_cast<float>(f16(v));
    }
    EXPECT_EQ(values_of(new_files, t.hf_name), old_values) << t.hf_name;
  }

  run = convert(file, back);
  ASSERT_EQ(run.status, 0) << run.err;
  const auto losses = [&](const std::string& model, const std::string& out) {
    const CommandResult inspected = lethe_command(
        {"inspect", model, "--ids", folder + "/ids.json", "--out", made / out, "--device", "cpu"});
    EXPECT_EQ(inspected.status, 0) << inspected.err;
    return read_bytes(made / out);
  };
  const std::string straight = losses(file, "file.safetensors");
  EXPECT_FALSE(straight.empty());
  EXPECT_EQ(straight, losses(back, "back.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(Golden, GgufFamilies,
                         testing::Values("llama", "llama_biases_llama3_tied", "llama_linear_padding",
                                         "llama_yarn", "qwen2", "qwen3"),
                         [](const auto& family) { return std::string(family.param); });

// A file holds row h D + p D/2 + j of q at h D + 2 j + p, and of qwen2's q where it was.
TEST(GgufCommand, rows_of_q_and_k_lie_as_llama_cpp_turns_them) {
  for (const std::string family : {"llama", "qwen2"}) {
    const Folder made;
    ASSERT_EQ(convert(kFamilies + family, made / "m.gguf").status, 0);
    const ModelFiles files = ModelFiles::open(kFamilies + family);
    const LlamaConfig config = parse_config(kFamilies + family + "/config.json");
    const GgufFile file(made / "m.gguf");
    for (const std::string map : {"q", "k", "v"}) {
      const std::vector<float> rows = values_of(files, "model.layers.1.self_attn." + map + "_proj.weight");
      const auto found =
          std::ranges::find(file.tensors(), "blk.1.attn_" + map + ".weight", &GgufTensor::name);
      ASSERT_NE(found, file.tensors().end());
      std::vector<float> held(rows.size());
      dequantise(found->type, file.bytes(*found).data(), static_cast<int64_t>(held.size()), held.data());
      const int64_t d = config.head_dim, width = config.hidden_size;
      for (int64_t r = 0; r < found->shape[0]; ++r) {
        const bool turned = family == "llama" && map != "v";
        const int64_t within = r % d,
                      place = turned ? r - within + 2 * (within % (d / 2)) + within / (d / 2) : r;
        EXPECT_EQ(held[static_cast<size_t>(place * width)],
                  static_cast<float>(f16(rows[static_cast<size_t>(r * width)])))
            << map << " row " << r;
      }
    }
  }
}

TEST(GgufCommand, what_the_format_cannot_express_is_refused_before_anything_is_written) {
  const Folder made;
  for (const std::string family : {"mistral_window", "qwen2_window", "llama_dynamic", "smollm3"}) {
    const CommandResult run = convert(kFamilies + family, made / "m.gguf");
    EXPECT_EQ(run.status, 2) << family;
    expect_parts(run.err, {"GGUF file cannot express"});
  }
  EXPECT_TRUE(made.names().empty());
  EXPECT_EQ(lethe_command({"convert", kFamilies + "llama", "--output", made / "d", "--type", "q8_0"}).status,
            2);
}

TEST(GgufCommand, the_stories_model_keeps_its_tokenizer_and_its_text) {
  const std::string model = LETHE_SHARED_DATA "/models/stories260K-hf";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "no " << model;
  const Folder made;
  ASSERT_EQ(convert(model, made / "m.gguf").status, 0);
  const CommandResult q8 = lethe_command({"convert", model, "--output", made / "q8.gguf", "--type", "q8_0"});
  ASSERT_EQ(q8.status, 0) << q8.err;
  // A half at least as wide as the largest of 32, in steps of 1/127: each value within half a step, and the
  // scale's own rounding of 2^-11.
  const ModelFiles before = ModelFiles::open(model), after = ModelFiles::open(made / "q8.gguf");
  const std::string name = "model.layers.0.self_attn.q_proj.weight";
  const std::vector<float> x = values_of(before, name), y = values_of(after, name);
  for (size_t i = 0; i < x.size(); ++i) {
    float largest = 0;
    for (size_t j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) largest = std::max(largest, std::abs(x[j]));
    ASSERT_LE(std::abs(x[i] - y[i]), largest * (0.5 / 127 + 0x1p-11) * 1.001) << i;
  }
  const auto text = [&](const std::string& from) {
    const CommandResult run =
        lethe_command({"generate", from, "--prompt", "Once upon a time", "--max-new-tokens", "30",
                       "--temperature", "0", "--device", "cpu"});
    EXPECT_EQ(run.status, 0) << run.err;
    return run.out;
  };
  EXPECT_EQ(text(made / "m.gguf"), text(model));
}

}  // namespace
}  // namespace lethe::test
