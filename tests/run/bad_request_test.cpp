// Requests that cannot be carried out: status 2, the thing's name, and a folder that is as it was before.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "model/weights/names.h"
#include "tests/run/process.h"
#include "tests/run/small_run.h"

namespace lethe::test {
namespace {

// Every file with its bytes and every folder below `root`.
std::map<std::string, std::string> contents(const std::string& root) {
  std::map<std::string, std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    found[entry.path().string()] = entry.is_directory() ? "folder" : read_bytes(entry.path().string());
  }
  return found;
}

class BadRequest : public testing::Test {
 protected:
  // Runs `lethe train` with the small configuration and `assignments` over it, which must be refused in words
  // that hold every part.
  void refuse(const std::vector<std::string>& assignments, const std::vector<std::string>& parts,
              const std::vector<std::string>& more = {}) {
    const std::string file = write_text(folder_ / "config.yaml", config_);
    std::vector<std::string> arguments = {"train", file};
    for (const std::string& a : assignments) arguments.insert(arguments.end(), {"--set", a});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto before = contents(folder_.path());
    const CommandResult result = lethe_command(arguments);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_TRUE(result.out.empty()) << result.out;
    expect_parts(result.err, parts);
    std::vector<std::string> appeared;
    for (const auto& [path, bytes] : contents(folder_.path())) {
      if (!before.contains(path) || before.at(path) != bytes) appeared.push_back(path);
    }
    EXPECT_EQ(appeared, std::vector<std::string>{}) << result.err;
    EXPECT_EQ(contents(folder_.path()).size(), before.size());
  }

  // A Hugging Face folder of the small model with its tokenizer.
  std::string model_folder() {
    const TrainOptions options = small_options(folder_ / "maker");
    TrainingRun run(prepare_run(options));
    const std::string made = run.export_model(folder_ / "model");
    config_ = config_.substr(config_.find("data:"));
    config_ = "model.path: " + made + "\n" + config_;
    return made;
  }

  // The model's files with a tensor left out, or in another shape.
  void rewrite(const std::string& model, const std::string& name, const Shape& shape) {
    const ModelFiles files = ModelFiles::open(model);
    std::vector<std::vector<float>> values;
    std::vector<TensorToWrite> tensors;
    values.reserve(files.tensors().size());
    for (const StoredTensor& t : files.tensors()) {
      const Shape& as = t.entry->name == name ? shape : t.entry->shape;
      if (as.empty()) continue;
      values.emplace_back(static_cast<size_t>(elements_of(as)), 0.5f);
      tensors.push_back(
          tensor_to_write(t.entry->name, StoredType::f32, as, values.back().data(), DType::f32));
    }
    write_model(model, tensors);
  }

  Folder folder_;
  std::string config_ = small_config(folder_.path());
};

TEST_F(BadRequest, UnknownKeyWithTheNearestKnownOne) {
  refuse({"train.bath_size=4"}, {"train.bath_size", "did you mean train.batch_size?"});
  config_ += "shedule.name: cosine\n";
  refuse({}, {"config.yaml:", "shedule.name", "did you mean schedule.name?"});
}

TEST_F(BadRequest, ValueOutOfRange) {
  refuse({"lora.dropout=1"}, {"lora.dropout", "1", "0 to below 1"});
  refuse({"train.attention_dropout=1"}, {"train.attention_dropout", "1", "0 to below 1"});
  refuse({"train.attention_dropout=-0.5"}, {"train.attention_dropout", "-0.5", "0 to below 1"});
  refuse({"train.micro_batch_size=3"}, {"train.micro_batch_size", "divide", "4"});
  refuse({"data.sequence_length=65"}, {"data.sequence_length", "65", "max_position_embeddings of 64"});
  refuse({"schedule.warmup=9 steps"}, {"schedule.warmup", "9 steps", "8"});
}

TEST_F(BadRequest, TruncatedOrLyingSafetensors) {
  const std::string model = model_folder(), file = model + "/model.safetensors";
  const std::string whole = read_bytes(file);
  write_text(file, whole.substr(0, 100));
  refuse({}, {file, "header"});
  write_text(file, whole.substr(0, whole.size() - 1));
  refuse({}, {file, "truncated"});
  write_text(file, whole.substr(0, 5));
  refuse({}, {file});
  std::string lying = whole;
  lying[6] = 1;  // a header of 2^48 bytes and more
  write_text(file, lying);
  refuse({}, {file, "header"});
  lying = whole;
  lying.replace(lying.find("\"shape\":[60,16]"), 15, "\"shape\":[99,16]");
  write_text(file, lying);
  refuse({}, {file, "lm_head.weight", "[99, 16]"});
}

TEST_F(BadRequest, MissingTensorOrWrongShape) {
  const std::string model = model_folder(), name = "model.layers.1.mlp.up_proj.weight";
  rewrite(model, name, {});
  refuse({}, {model, name, "missing"});
  rewrite(model, "model.norm.weight", {16});
  refuse({}, {name});
  const Folder again;
  std::filesystem::remove_all(model);
  config_ = small_config(folder_.path());
  const std::string second = model_folder();
  rewrite(second, name, {24, 15});
  refuse({}, {second, name, "[24, 15]", "[24, 16]"});
}

TEST_F(BadRequest, UnsupportedModelFeature) {
  const std::string model = model_folder(), file = model + "/config.json";
  const auto whole = nlohmann::json::parse(read_bytes(file));
  const std::pair<const char*, nlohmann::json> features[] = {{"attn_logit_softcapping", 30.0},
                                                             {"hidden_act", "gelu"},
                                                             {"model_type", "gpt2"},
                                                             {"num_local_experts", 8}};
  for (const auto& [key, value] : features) {
    nlohmann::json changed = whole;
    changed[key] = value;
    write_text(file, changed.dump());
    refuse({}, {file, key, value.dump()});
  }
  write_text(file, whole.dump().substr(0, 40));
  refuse({}, {file});
}

TEST_F(BadRequest, NoTokenizer) {
  refuse({"data.tokenizer=" + (folder_ / "none.model")}, {folder_ / "none.model"});
  const std::string text = write_text(folder_ / "text.model", "not a tokenizer");
  refuse({"data.tokenizer=" + text}, {text});
  const std::string vocabulary = "vocab_size: 60";
  config_.replace(config_.find(vocabulary), vocabulary.size(), "vocab_size: 59");
  refuse({}, {"tokenizer.model", "60 pieces", "vocab_size of 59"});
}

TEST_F(BadRequest, EmptyCorpus) {
  const std::string empty = write_text(folder_ / "empty.txt", " \n\t\n");
  refuse({"data.train=" + empty}, {empty, "empty corpus"});
  refuse({"data.train=" + (folder_ / "none.txt")}, {folder_ / "none.txt", "no such file"});
  std::filesystem::create_directories(folder_ / "texts");
  refuse({"data.train=" + (folder_ / "texts")}, {folder_ / "texts", "no file"});
  // The two sources before it are fine, and were tokenized.
  refuse({"data.held_out=[{name: other, path: " + empty + "}]"}, {empty, "empty corpus"});
}

TEST_F(BadRequest, InvalidUtf8ByFileAndLine) {
  const std::string file =
      write_text(folder_ / "bad.jsonl", "{\"text\": \"the sea\"}\n{\"text\": \"the \xff\"}\n");
  refuse({"data.train=" + file}, {file, "line 2", "UTF-8", "0xff"});
  refuse({"data.train=[" + small_texts() + "/stories.txt, " + file + "]"}, {file, "line 2"});
  const std::string not_json =
      write_text(folder_ / "bad2.jsonl", "{\"text\": \"the sea\"}\n\n{\"text\": 1}\n");
  refuse({"data.train=" + not_json}, {not_json, "line 3", "must be a string"});
}

TEST_F(BadRequest, BatchWithoutSupervisedToken) {
  // Sequences of one token: where that is a document's last, there is nothing to predict.
  refuse(
      {"data.sequence_length=1", "train.batch_size=1", "train.micro_batch_size=1", "train.duration=1 epochs"},
      {"the batch of 1 rows at row ", "no supervised token"});
}

TEST_F(BadRequest, CheckpointOfAnotherModel) {
  ASSERT_EQ(lethe_command(
                {"train", write_text(folder_ / "config.yaml", config_), "--set", "train.duration=3 steps"})
                .status,
            0);
  const std::string state = folder_ / "run/checkpoints/step-00000003/state.json";
  refuse({"model.initial_seed=9"}, {state, "model"}, {"--resume"});
  refuse({"method=lora"}, {state, "method"}, {"--resume"});
  refuse({"data.train=" + small_texts() + "/other.txt"}, {state, "data"}, {"--resume"});
}

TEST_F(BadRequest, OutputThatHoldsARun) {
  ASSERT_EQ(lethe_command(
                {"train", write_text(folder_ / "config.yaml", config_), "--set", "train.duration=2 steps"})
                .status,
            0);
  refuse({}, {"output", folder_ / "run", "already holds a run", "--resume"});
  // Killed before its first checkpoint, it is a run all the same.
  std::filesystem::remove_all(folder_ / "run/checkpoints");
  refuse({}, {"output", "already holds a run"});
}

TEST_F(BadRequest, PlanBeyondTheBudget) {
  refuse({"memory_budget_gb=0.0001"}, {"does not fit", "of the budget's 100000"});
}

// Some two million GB of weights: beyond any machine, and so beyond the budget that 0 stands for.
TEST_F(BadRequest, PlanBeyondTheMachine) {
  const std::string small =
      "hidden_size: 16\n  intermediate_size: 24\n  num_hidden_layers: 2\n  num_attention_heads: 4";
  const size_t at = config_.find(small);
  ASSERT_NE(at, std::string::npos);
  config_.replace(at, small.size(),
                  "hidden_size: 4194304\n  intermediate_size: 4194304\n  num_hidden_layers: 4\n  "
                  "num_attention_heads: 32768");
  refuse({}, {"model.layers.0.", "does not fit", "of the budget's"});
}

TEST_F(BadRequest, PlanOfARefusedRequestLeavesNothingEither) {
  const std::string file = write_text(folder_ / "config.yaml", config_);
  const auto before = contents(folder_.path());
  EXPECT_EQ(lethe_command({"plan", file, "--set", "memory_budget_gb=0.0001"}).status, 2);
  EXPECT_EQ(contents(folder_.path()), before);
  EXPECT_EQ(lethe_command({"plan", file}).status, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "cache"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

}  // namespace
}  // namespace lethe::test
