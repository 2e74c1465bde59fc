// `lethe eval` on a real model against what lm-evaluation-harness decided on the same documents.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/files.h"
#include "tests/run/process.h"

namespace lethe::test {
namespace {

using nlohmann::json;

const std::string kModel = std::string(LETHE_SHARED_DATA) + "/models/stories260K-hf";
const std::string kGolden = LETHE_SOURCE_DIR "/tests/golden/eval";
const char* const kTasks = "hellaswag,arc_challenge,arc_easy,winogrande,piqa,openbookqa,mmlu";

class EvalCommand : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kModel + "/golden.json"))
      GTEST_SKIP() << "no ../shared/data beside the checkout";
  }

  static CommandResult eval(const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"eval", kModel, "--data", kGolden + "/data", "--device", "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return lethe_command(arguments);
  }

  // Results by benchmark and document.
  static std::map<std::pair<std::string, int64_t>, json> results(const std::string& file) {
    std::map<std::pair<std::string, int64_t>, json> found;
    std::istringstream text(read_bytes(file));
    for (std::string line; std::getline(text, line);) {
      const json object = json::parse(line);
      if (object.contains("task")) found[{object.at("task"), object.at("document")}] = object;
    }
    return found;
  }

  // Sums of up to 40 logarithms below 20 in float, from logits that both sides round some 50 times: 40 * 50 *
  // 20
  // * 2^-24 = 2e-3 at the worst, a tenth of it where the roundings are independent.
  static void expect_same(const std::string& file, const std::string& golden, double tolerance = 3e-4) {
    const auto got = results(file), expected = results(golden);
    EXPECT_EQ(got.size(), expected.size());
    for (const auto& [key, theirs] : expected) {
      ASSERT_TRUE(got.contains(key)) << key.first << " " << key.second;
      const json& ours = got.at(key);
      for (const char* name : {"acc", "acc_norm", "greedy", "prompt_sha256"}) {
        EXPECT_EQ(ours.contains(name), theirs.contains(name)) << name;
        EXPECT_EQ(ours.value(name, json()), theirs.value(name, json())) << ours.dump();
      }
      const auto a = ours.at("log_likelihoods").get<std::vector<double>>(),
                 b = theirs.at("log_likelihoods").get<std::vector<double>>();
      ASSERT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << ours.dump();
    }
  }

  Folder folder_;
};

TEST_F(EvalCommand, DecidesAsTheHarnessDoes) {
  for (const std::string shots : {"0", "2"}) {
    const std::string file = folder_ / ("shots" + shots + ".jsonl");
    const CommandResult ran = eval({"--tasks", kTasks, "--shots", shots, "--output", file});
    ASSERT_EQ(ran.status, 0) << ran.err;
    expect_same(file, kGolden + "/stories260k_" + shots + "_shots.jsonl");
  }
}

TEST_F(EvalCommand, DecisionsDoNotDependOnTheBatch) {
  const std::string all = folder_ / "all.jsonl";
  ASSERT_EQ(eval({"--tasks", kTasks, "--shots", "2", "--output", all}).status, 0);
  for (const std::string batch : {"1", "7", "64"}) {
    const std::string file = folder_ / ("batch" + batch + ".jsonl");
    ASSERT_EQ(eval({"--tasks", kTasks, "--shots", "2", "--output", file, "--batch", batch}).status, 0);
    expect_same(file, all);
  }
}

TEST_F(EvalCommand, GoesOnWhereItWasInterrupted) {
  const std::string file = folder_ / "results.jsonl";
  const std::vector<std::string> arguments{"--tasks", "piqa,winogrande", "--output", file, "--json"};
  const CommandResult whole = eval(arguments);
  ASSERT_EQ(whole.status, 0) << whole.err;
  const std::string text = read_bytes(file);
  // Five whole lines and half of one are left.
  size_t end = 0;
  for (int i = 0; i < 5; ++i) end = text.find('\n', end) + 1;
  write_text(file, text.substr(0, end + 20));
  const CommandResult rest = eval(arguments);
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_EQ(json::parse(rest.out), json::parse(whole.out));
  const std::string after = read_bytes(file);
  EXPECT_TRUE(after.starts_with(text.substr(0, end)));
  EXPECT_EQ(std::ranges::count(after, '\n'), std::ranges::count(text, '\n'));
  expect_same(file, file);
  // All is there: nothing is computed, and other settings are refused before anything is.
  EXPECT_EQ(json::parse(eval(arguments).out), json::parse(whole.out));
  const CommandResult other = eval({"--tasks", "piqa", "--output", file, "--shots", "1"});
  EXPECT_EQ(other.status, 2);
  expect_parts(other.err, {file, "shots", "0", "1"});
  EXPECT_EQ(read_bytes(file), after);
}

TEST_F(EvalCommand, PrintsATable) {
  const CommandResult ran = eval({"--tasks", "mmlu,hellaswag", "--limit", "3"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  expect_parts(ran.out, {"task", "documents", "mmlu", "hellaswag", "acc", "acc_norm", "3"});
  const CommandResult as_json = eval({"--tasks", "mmlu", "--json"});
  const json results = json::parse(as_json.out);
  EXPECT_EQ(results.at("results")[0].at("documents"), 4);
  EXPECT_EQ(results.at("results")[0].at("parts").size(), 2u);
  EXPECT_EQ(results.at("settings").at("max_length"), 512);
}

TEST_F(EvalCommand, RefusesWhatIsWrong) {
  const auto refused = [&](const std::vector<std::string>& more, const std::vector<std::string>& parts) {
    const CommandResult ran = eval(more);
    EXPECT_EQ(ran.status, 2) << ran.out;
    expect_parts(ran.err, parts);
  };
  refused({"--tasks", "hellaswg"}, {"hellaswg", "hellaswag"});
  refused({"--tasks", "piqa", "--shots", "9"}, {"piqa_train.jsonl", "7", "10"});
  refused({"--tasks", "piqa", "--max-length", "513"}, {"513", "512"});
  refused({"--tasks", "piqa", "--output", kGolden + "/data/piqa_val.jsonl"}, {"piqa_val.jsonl", "line 1"});
  write_text(folder_ / "other.txt", "no newline");
  refused({"--tasks", "piqa", "--output", folder_ / "other.txt"}, {"other.txt"});
  EXPECT_EQ(read_bytes(folder_ / "other.txt"), "no newline");
  EXPECT_EQ(lethe_command({"eval", kModel, "--tasks", "piqa", "--data", folder_.path()}).status, 2);
}

}  // namespace
}  // namespace lethe::test
