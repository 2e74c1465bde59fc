// What a run says of itself while it trains is what `lethe eval` says of its result afterwards.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/files.h"
#include "tests/run/process.h"

namespace lethe::test {
namespace {

using nlohmann::json;

const std::string kModel = std::string(LETHE_SHARED_DATA) + "/models/stories260K-hf";
const std::string kData = LETHE_SOURCE_DIR "/tests/golden/eval/data";

class TrainingExaminer : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kModel + "/config.json"))
      GTEST_SKIP() << "no ../shared/data beside the checkout";
    std::filesystem::create_directories(folder_ / "prose");
    std::string text;
    for (int i = 0; i < 400; ++i)
      text += "Once upon a time there was a little number " + std::to_string(i) + ". ";
    write_text(folder_ / "prose/a.txt", text);
  }

  std::vector<std::string> arguments(const std::string& output, const std::vector<std::string>& sets) const {
    std::vector<std::string> made{"train", folder_ / "run.yaml"};
    write_text(folder_ / "run.yaml",
               "model: {path: " + kModel +
                   "}\ndata: {train: [" LETHE_SOURCE_DIR "/tools/eval], sequence_length: 64, cache_dir: " +
                   (folder_ / "cache") +
                   ", held_out_fraction: 0.2, held_out: [{name: prose, path: " + (folder_ / "prose") +
                   "}]}\ntrain: {duration: 12 steps, batch_size: 4, micro_batch_size: 2, eval_every: 0, "
                   "eval_batches: 3, save_every: 0}\n"
                   "optimizer: {learning_rate: 3e-3}\ndevice: cpu\n"
                   "eval: {every: 4, max_share_of_time: 0}\n");
    std::vector<std::string> all{"output=" + folder_ / output};
    all.insert(all.end(), sets.begin(), sets.end());
    for (const std::string& set : all) {
      made.push_back("--set");
      made.push_back(set);
    }
    return made;
  }
  CommandResult train(const std::string& output, const std::vector<std::string>& sets) const {
    return lethe_command(arguments(output, sets));
  }

  std::vector<json> examinations(const std::string& output) const {
    std::vector<json> found;
    std::istringstream text(read_bytes(folder_ / (output + "/metrics.jsonl")));
    for (std::string line; std::getline(text, line);) {
      json object = json::parse(line);
      if (object.at("kind") != "examination") continue;
      object.erase("seconds");
      found.push_back(std::move(object));
    }
    return found;
  }

  Folder folder_;
};

const std::vector<std::string> kTasks{"eval.tasks=[hellaswag,winogrande]", "eval.data=[" + kData + "]"};

TEST_F(TrainingExaminer, SaysWhatEvalSaysOfTheResult) {
  for (const std::string method : {"full", "lora"}) {
    std::vector<std::string> sets = kTasks;
    sets.push_back("method=" + method);
    sets.push_back("eval.divergence=[prose]");
    const CommandResult run = train(method, sets);
    ASSERT_EQ(run.status, 0) << run.err;
    const std::vector<json> found = examinations(method);
    ASSERT_EQ(found.size(), 4U);  // before the first step and after the 4th, 8th and 12th
    EXPECT_EQ(found[0].at("learned"), 0.0);
    EXPECT_EQ(found[0].at("measures").at("divergence of prose").at("value"), 0.0);
    EXPECT_GT(found[3].at("learned"), 0.1);
    EXPECT_GT(found[3].at("measures").at("divergence of prose").at("value"), 1e-3);
    EXPECT_NE(read_bytes(folder_ / (method + "/learning_and_forgetting.svg")).find("forgotten"),
              std::string::npos);

    std::vector<std::string> eval{"eval", method == "full" ? folder_ / (method + "/model") : kModel};
    for (const std::string& word :
         {std::string("--tasks"), std::string("hellaswag,winogrande"), std::string("--data"), kData,
          std::string("--device"), std::string("cpu"), std::string("--json")})
      eval.push_back(word);
    if (method == "lora") {
      eval.push_back("--adapter");
      eval.push_back(folder_ / (method + "/adapter"));
    }
    const CommandResult result = lethe_command(eval);
    ASSERT_EQ(result.status, 0) << result.err;
    for (const json& task : json::parse(result.out).at("results")) {
      const json& metrics = task.at("metrics");
      const json& value = metrics.contains("acc_norm") ? metrics.at("acc_norm") : metrics.at("acc");
      const json& ours = found[3].at("measures").at(task.at("task").get<std::string>());
      EXPECT_EQ(ours.at("value"), value.at("value")) << task.dump();
      EXPECT_EQ(ours.at("count"), task.at("documents"));
    }
  }
}

TEST_F(TrainingExaminer, ChangesNothingOfTheTraining) {
  ASSERT_EQ(train("with", kTasks).status, 0);
  ASSERT_EQ(train("without", {"eval.every=0"}).status, 0);
  EXPECT_EQ(read_bytes(folder_ / "with/model/model.safetensors"),
            read_bytes(folder_ / "without/model/model.safetensors"));
}

TEST_F(TrainingExaminer, GoesOnFromACheckpointWithTheSameBase) {
  std::vector<std::string> sets = kTasks;
  sets.push_back("train.save_every=4");
  sets.push_back("train.keep_checkpoints=5");
  ASSERT_EQ(train("run", sets).status, 0);
  const std::vector<json> whole = examinations("run");
  for (const char* step : {"00000012", "00000008"})
    ASSERT_GT(std::filesystem::remove_all(folder_ / ("run/checkpoints/step-" + std::string(step))), 0U);
  std::vector<std::string> again = arguments("run", sets);
  again.push_back("--resume");
  const CommandResult resumed = lethe_command(again);
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(examinations("run"), whole);
}

TEST_F(TrainingExaminer, ARunWithoutABaseIsNotMeasuredFromItsMiddle) {
  ASSERT_EQ(train("run", {"eval.every=0"}).status, 0);
  std::vector<std::string> again = arguments("run", {"train.duration=14 steps"});
  again.push_back("--resume");
  const CommandResult resumed = lethe_command(again);
  EXPECT_EQ(resumed.status, 2);
  EXPECT_NE(resumed.err.find("eval.every: must be 0"), std::string::npos) << resumed.err;
}

TEST_F(TrainingExaminer, EndsWhenTooMuchIsForgottenAndKeepsTheBest) {
  // Prose gets better here, so that nothing is forgotten of it; what is learned, turned around, is.
  const CommandResult run =
      train("stopped", {"eval.forgetting=[divergence of prose]", "eval.divergence=[prose]",
                        "eval.stop_when_forgotten=1e-6", "eval.keep_best=true"});
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_NE(run.err.find("ended after step 4 of 12"), std::string::npos) << run.err;
  EXPECT_EQ(examinations("stopped").size(), 2U);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "stopped/best")) << "nothing was learned within the limit";
  EXPECT_TRUE(std::filesystem::exists(folder_ / "stopped/model"));
  const CommandResult best = train("best", {"eval.keep_best=true"});
  ASSERT_EQ(best.status, 0) << best.err;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "best/best/model.safetensors"));
}

TEST_F(TrainingExaminer, StaysWithinItsShareOfTheTime) {
  std::vector<std::string> sets = kTasks;
  sets.push_back("eval.max_share_of_time=0.001");
  const CommandResult run = train("short", sets);
  ASSERT_EQ(run.status, 0) << run.err;
  EXPECT_EQ(examinations("short").size(), 2U) << "the first and the last";
  EXPECT_NE(run.err.find("not measured, it would pass eval.max_share_of_time"), std::string::npos);
}

TEST_F(TrainingExaminer, ThePlanSaysWhatItAdds) {
  std::vector<std::string> sets = kTasks;
  sets.push_back("eval.divergence=[prose]");
  const auto plan = [&](std::vector<std::string> more) {
    std::vector<std::string> words = arguments("planned", more);
    words[0] = "plan";
    words.push_back("--json");
    const CommandResult result = lethe_command(words);
    EXPECT_EQ(result.status, 0) << result.err;
    return json::parse(result.out);
  };
  const json with = plan(sets), without = plan({"eval.every=0"});
  EXPECT_EQ(with.at("examination").at("bytes"),
            with.at("arena_bytes").get<int64_t>() - without.at("arena_bytes").get<int64_t>());
  EXPECT_EQ(with.at("examination").at("times"), 4);
  EXPECT_GT(with.at("examination").at("flops"), 0);
  EXPECT_FALSE(without.contains("examination"));
}

TEST_F(TrainingExaminer, RefusesWhatCannotBeMeasured) {
  const auto refused = [&](const std::vector<std::string>& sets) {
    const CommandResult run = train("refused", sets);
    EXPECT_EQ(run.status, 2) << run.err;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "refused/metrics.jsonl"));
    return run.err;
  };
  EXPECT_NE(refused({"eval.tasks=[hellaswig]", "eval.data=[" + kData + "]"}).find("did you mean hellaswag"),
            std::string::npos);
  EXPECT_NE(refused({"eval.tasks=[hellaswag]"}).find("eval.data"), std::string::npos);
  EXPECT_NE(refused({"eval.divergence=[verse]"}).find("verse"), std::string::npos);
  EXPECT_NE(refused({"eval.every=0", "eval.keep_best=true"}).find("eval.keep_best"), std::string::npos);
}

}  // namespace
}  // namespace lethe::test
