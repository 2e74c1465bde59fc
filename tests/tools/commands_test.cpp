// `lethe generate`, `inspect` and `spectrum` as the built command runs them, on a real pretrained model.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/files/safetensors.h"
#include "engine/files/safetensors_writer.h"
#include "engine/rng.h"
#include "model/weights/names.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const std::string kModel = std::string(LETHE_SHARED_DATA) + "/models/stories260K-hf";
constexpr int64_t kRank = 3;

struct Outcome {
  int status = -1;
  std::string out, err;
};

class Commands : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kModel + "/golden.json")) GTEST_SKIP() << "no ../shared/data beside the checkout";
    golden_ = json::parse(read_bytes(kModel + "/golden.json"));
  }

  Outcome lethe(const std::string& arguments) const {
    const std::string out = folder_ / "out", err = folder_ / "err";
    const int status =
        std::system(("'" LETHE_COMMAND "' " + arguments + " >'" + out + "' 2>'" + err + "'").c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(out), read_bytes(err)};
  }

  // Runs inspect on ids written as JSON; `more` are further arguments.
  Outcome inspect(const json& ids, const std::string& more = "") const {
    const std::string file = write_text(folder_ / "ids.json", ids.dump());
    return lethe("inspect '" + kModel + "' --ids '" + file + "' --out '" + out_file() + "' " + more);
  }
  std::string out_file() const { return folder_ / "out.safetensors"; }

  // A LoRA adapter on q_proj and down_proj of every layer; B is zero unless `spread` says otherwise.
  std::string adapter(double spread) const {
    const std::string path = folder_ / "adapter";
    fs::create_directories(path);
    write_text(path + "/adapter_config.json", json{{"peft_type", "LORA"},
                                                   {"task_type", "CAUSAL_LM"},
                                                   {"r", kRank},
                                                   {"lora_alpha", 2 * kRank},
                                                   {"lora_dropout", 0.0},
                                                   {"bias", "none"},
                                                   {"base_model_name_or_path", "stories260K"},
                                                   {"target_modules", {"q_proj", "down_proj"}}}
                                                  .dump());
    std::vector<std::vector<float>> values;
    std::vector<std::pair<std::string, Shape>> named;
    for (const LinearModule& m : linear_modules(parse_config(kModel + "/config.json"))) {
      if (m.name != "q_proj" && m.name != "down_proj") continue;
      named.push_back({"base_model.model." + m.path + ".lora_A.weight", {kRank, m.in}});
      named.push_back({"base_model.model." + m.path + ".lora_B.weight", {m.out, kRank}});
    }
    std::vector<TensorToWrite> tensors;
    values.reserve(named.size());
    for (const auto& [name, shape] : named) {
      const Rng rng(5, stream_of(name));
      std::vector<float>& v = values.emplace_back(static_cast<size_t>(elements_of(shape)));
      const double size = name.ends_with("lora_B.weight") ? spread : 0.1;
      for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(size * rng.normal(i));
      tensors.push_back(tensor_to_write(name, StoredType::f32, shape, v.data(), DType::f32));
    }
    write_safetensors(path + "/adapter_model.safetensors", tensors);
    return path;
  }

  static std::vector<double> read(const SafetensorsFile& file, const std::string& name) {
    std::vector<double> values(static_cast<size_t>(elements_of(file.require(name).shape)));
    file.read(name, {values.data(), DType::f64, 0});
    return values;
  }

  Folder folder_;
  json golden_;
};

TEST_F(Commands, GenerateContinuesThePromptGreedily) {
  const Outcome text = lethe("generate '" + kModel + "' --prompt 'Once upon a time' --max-new-tokens 32");
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_EQ(text.out, golden_.at("greedy32_text").get<std::string>() + "\n");

  const Outcome ids =
      lethe("generate '" + kModel + "' --ids 1,403,407,261,378 --max-new-tokens 32 --json --threads 1");
  EXPECT_EQ(ids.status, 0) << ids.err;
  EXPECT_EQ(json::parse(ids.out).at("ids"), golden_.at("greedy32_from_prompt"));
  EXPECT_EQ(json::parse(ids.out).at("prompt_ids"), golden_.at("prompt_ids"));
}

TEST_F(Commands, SamplingIsAFunctionOfTheSeed) {
  const auto drawn = [&](const std::string& more) {
    return lethe("generate '" + kModel + "' --prompt Once --max-new-tokens 12 " + more).out;
  };
  EXPECT_EQ(drawn("--temperature 1 --seed 1"), drawn("--temperature 1 --seed 1 --threads 1"));
  EXPECT_NE(drawn("--temperature 1 --seed 1"), drawn("--temperature 1 --seed 2"));
  // One token to draw from, by number or by probability, is the most probable one.
  const std::string greedy = drawn("");
  EXPECT_EQ(drawn("--temperature 1 --top-k 1"), greedy);
  EXPECT_EQ(drawn("--temperature 1 --top-p 0"), greedy);
}

TEST_F(Commands, GenerateRefusesWhatTheModelCannotTake) {
  const std::pair<std::string, std::string> requests[] = {
      {"--ids 1,600", "600"},
      {"--ids 1,-1", "-1"},
      {"--prompt a --max-new-tokens 512", "512 positions"},
      {"--prompt a --max-new-tokens 0", "--max-new-tokens"},
      {"--prompt a --ids 1", "--prompt"},
      {"--prompt a --adapter /no/such", "/no/such"},
  };
  for (const auto& [arguments, words] : requests) {
    const Outcome outcome = lethe("generate '" + kModel + "' " + arguments);
    EXPECT_EQ(outcome.status, 2) << arguments;
    EXPECT_TRUE(outcome.out.empty()) << arguments << ": " << outcome.out;
    expect_parts(outcome.err, {words});
  }
}

TEST_F(Commands, InspectWritesTheReferenceLogitsAndLoss) {
  ASSERT_EQ(inspect({{"ids", {golden_.at("prompt_ids")}}}, "--precision float64").status, 0);
  const auto expected = golden_.at("last_position_logits").get<std::vector<double>>();
  {
    const SafetensorsFile file(out_file());
    EXPECT_EQ(file.require("logits").shape, (Shape{1, 5, 512}));
    const std::vector<double> logits = read(file, "logits");
    // The reference is rounded to float: half of 2^-20 at a size of 10.
    for (size_t i = 0; i < 512; ++i) EXPECT_NEAR(logits[4 * 512 + i], expected[i], 1e-6) << i;
    EXPECT_EQ(file.find("gradient.model.norm.weight"), nullptr);
  }
  const Outcome loss = inspect({{"ids", {golden_.at("loss_ids")}}});
  ASSERT_EQ(loss.status, 0) << loss.err;
  expect_parts(loss.out, {"loss 1.14726", "119 targets"});
  // A mean of 119 float32 losses, each off by the error of two logits.
  EXPECT_NEAR(read(SafetensorsFile(out_file()), "loss")[0], golden_.at("mean_nll").get<double>(), 1e-5);
}

TEST_F(Commands, InspectNamesGradientsAsHuggingFaceDoes) {
  const Outcome outcome = inspect({{"ids", {golden_.at("loss_ids")}}}, "--gradients --precision float64");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const SafetensorsFile file(out_file());
  EXPECT_NEAR(read(file, "loss")[0], golden_.at("mean_nll").get<double>(), 1e-9);
  const auto tensors = model_tensors(parse_config(kModel + "/config.json"));
  EXPECT_EQ(file.entries().size(), tensors.size() + 3);
  const SafetensorsFile weights(kModel + "/model.safetensors");
  for (const ModelTensor& t : tensors) {
    EXPECT_EQ(file.require("gradient." + t.hf_name).shape, weights.require(t.hf_name).shape) << t.hf_name;
  }
}

// A model whose weight moved against the gradient by h has a loss lower by h times the gradient, to h^2: this
// ties each part of a merged matrix to its own rows.
TEST_F(Commands, GradientsPredictTheLossOfAChangedModel) {
  const json ids{{"ids", {golden_.at("loss_ids")}}};
  ASSERT_EQ(inspect(ids, "--gradients --precision float64").status, 0);
  const double loss = read(SafetensorsFile(out_file()), "loss")[0];
  const fs::path gradients = folder_ / "gradients.safetensors";
  fs::rename(out_file(), gradients);
  for (const std::string name :
       {"model.layers.0.self_attn.k_proj.weight", "model.layers.4.mlp.up_proj.weight",
        "model.layers.2.self_attn.v_proj.weight"}) {
    const SafetensorsFile model(kModel + "/model.safetensors"), file(gradients.string());
    const std::vector<double> gradient = read(file, "gradient." + name);
    double squares = 0;
    for (const double g : gradient) squares += g * g;
    const double h = 1e-3 / std::sqrt(squares);
    std::vector<std::vector<double>> values;
    std::vector<TensorToWrite> tensors;
    values.reserve(model.entries().size());
    for (const SafetensorsEntry& entry : model.entries()) {
      std::vector<double>& v = values.emplace_back(read(model, entry.name));
      for (size_t i = 0; entry.name == name && i < v.size(); ++i) v[i] -= h * gradient[i];
      tensors.push_back(tensor_to_write(entry.name, StoredType::f64, entry.shape, v.data(), DType::f64));
    }
    const std::string moved = folder_ / "moved";
    fs::create_directories(moved);
    fs::copy_file(kModel + "/config.json", moved + "/config.json", fs::copy_options::overwrite_existing);
    write_safetensors(moved + "/model.safetensors", tensors);
    ASSERT_EQ(lethe("inspect '" + moved + "' --precision float64 --ids '" + (folder_ / "ids.json") +
                    "' --out '" + out_file() + "'")
                  .status,
              0);
    const double change = read(SafetensorsFile(out_file()), "loss")[0] - loss, predicted = -h * squares;
    // The step has length 1e-3; the loss's curvature along it over its slope is of the order of ten at most.
    EXPECT_NEAR(change / predicted, 1, 1e-2) << name;
  }
}

TEST_F(Commands, InspectReadsAnAdapter) {
  const json ids{{"ids", {golden_.at("loss_ids")}}};
  const std::string untrained = adapter(0);
  ASSERT_EQ(inspect(ids, "--gradients --precision float64 --adapter '" + untrained + "'").status, 0);
  {
    const SafetensorsFile file(out_file());
    // B is zero: the model is the base, and only B has a gradient that is not.
    EXPECT_NEAR(read(file, "loss")[0], golden_.at("mean_nll").get<double>(), 1e-9);
    EXPECT_EQ(file.entries().size(), 3u + 2 * 2 * 5);
    const std::string module = "gradient.base_model.model.model.layers.1.mlp.down_proj.";
    EXPECT_EQ(file.require(module + "lora_A.weight").shape, (Shape{kRank, 172}));
    EXPECT_EQ(file.require(module + "lora_B.weight").shape, (Shape{64, kRank}));
    for (const double g : read(file, module + "lora_A.weight")) EXPECT_EQ(g, 0);
    double sum = 0;
    for (const double g : read(file, module + "lora_B.weight")) sum += std::abs(g);
    EXPECT_GT(sum, 0);
  }
  ASSERT_EQ(inspect(ids, "--adapter '" + adapter(0.1) + "'").status, 0);
  EXPECT_GT(std::abs(read(SafetensorsFile(out_file()), "loss")[0] - golden_.at("mean_nll").get<double>()),
            1e-3);
}

TEST_F(Commands, InspectNamesRowAndPlaceOfABadId) {
  json long_row = json::array();
  for (int i = 0; i < 513; ++i) long_row.push_back(1);
  const std::pair<json, std::vector<std::string>> requests[] = {
      {{{"ids", {{1, 2}, {1, 512, 3}}}}, {"ids, row 1, place 1", "512"}},
      {{{"ids", {{1, -1}}}}, {"row 0, place 1", "-1"}},
      {{{"ids", {{1, -100}}}}, {"row 0, place 1", "-100"}},
      {{{"ids", {{1, 2.5}}}}, {"row 0, place 1", "2.5"}},
      {{{"ids", {{1, 4294967297}}}}, {"row 0, place 1", "4294967297"}},
      {{{"ids", {{1, "a"}}}}, {"row 0, place 1", "\"a\""}},
      {{{"ids", {{1, 2}}}, {"labels", {{2, 512}}}}, {"labels, row 0, place 1", "512"}},
      {{{"ids", {{1, 2}}}, {"labels", {{2}}}}, {"row 0", "2 ids and 1 labels"}},
      {{{"ids", {{1, 2}}}, {"labels", {{2, 3}, {4, 5}}}}, {"2 rows where ids has 1"}},
      {{{"ids", {{1, 2}}}, {"labels", {{-100, -100}}}}, {"no label is a target"}},
      {{{"ids", {{1, 2}, json::array()}}}, {"row 1", "no ids"}},
      {{{"ids", {long_row}}}, {"row 0", "513 ids", "512 positions"}},
      {{{"ids", json::array()}}, {"no row"}},
      {{{"tokens", {{1, 2}}}}, {"ids", "list of rows"}},
      {json::array({1, 2}), {"object"}},
  };
  for (const auto& [ids, words] : requests) {
    const Outcome outcome = inspect(ids);
    EXPECT_EQ(outcome.status, 2) << ids.dump().substr(0, 80) << outcome.out;
    expect_parts(outcome.err, words);
    EXPECT_FALSE(fs::exists(out_file())) << ids.dump().substr(0, 80);
  }
}

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

TEST_F(Commands, AModelDiffersFromItselfByNothing) {
  const Outcome outcome = lethe("spectrum '" + kModel + "' '" + kModel + "' --json --intruders");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<json> lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 5u * 7);
  for (const json& line : lines) {
    EXPECT_EQ(line.at("frobenius"), 0) << line.dump();
    EXPECT_EQ(line.at("rank90"), 0) << line.dump();
    EXPECT_EQ(line.at("intruder_dimensions"), 0) << line.dump();
    for (const json& s : line.at("singular_values")) EXPECT_EQ(s, 0);
  }
}

TEST_F(Commands, AnAdapterChangesNoMoreDirectionsThanItsRank) {
  const Outcome outcome = lethe("spectrum '" + kModel + "' '" + adapter(0.1) + "' --json");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::vector<json> lines = lines_of(outcome.out);
  ASSERT_EQ(lines.size(), 5u * 2);
  for (const json& line : lines) {
    EXPECT_GE(line.at("rank90"), 1) << line.at("tensor");
    EXPECT_LE(line.at("rank90"), kRank) << line.at("tensor");
    const auto values = line.at("singular_values").get<std::vector<double>>();
    EXPECT_GT(values[kRank - 1], 1e-3 * values[0]);
    // Of rank 3 to the rounding of doubles.
    EXPECT_LT(values[kRank], 1e-13 * values[0] * static_cast<double>(values.size()));
  }
}

}  // namespace
}  // namespace lethe::test
