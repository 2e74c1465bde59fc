// What a tuned model forgot: the numbers of hand-made results, their error beside its formula, the command.
#include "tools/eval/forgetting.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "engine/error.h"
#include "tests/files.h"
#include "tests/run/process.h"

namespace lethe::test {
namespace {

using eval::EvaluationResults;
using eval::forgetting_of;
using nlohmann::json;

constexpr double kError = 0.03;  // of a standard error from 10,000 drawings: 4 / sqrt(2 * 10,000)

// Documents of one benchmark; `right(d)` says which are decided rightly.
template <class Right>
void add(EvaluationResults& results, const std::string& task, int64_t documents, const Right& right) {
  for (int64_t d = 0; d < documents; ++d) {
    results.lines.push_back(
        {{"task", task}, {"document", d}, {"prompt_sha256", std::to_string(d)}, {"acc", right(d) ? 1 : 0}});
  }
}

EvaluationResults results_with(const json& settings) {
  EvaluationResults made;
  made.settings = settings;
  return made;
}

TEST(Forgetting, CountsWhatWasLostAndGained) {
  auto base = results_with({{"protocol", "lm-eval"}, {"model", "a"}}),
       tuned = results_with({{"protocol", "lm-eval"}, {"model", "b"}});
  add(base, "winogrande", 400, [](int64_t d) { return d < 200; });
  add(tuned, "winogrande", 400, [](int64_t d) { return d < 170 || d >= 390; });
  const eval::Forgetting found = forgetting_of(base, tuned);
  ASSERT_EQ(found.changes.size(), 1U);
  const eval::Change& c = found.changes[0];
  EXPECT_EQ(c.documents, 400);
  EXPECT_DOUBLE_EQ(c.base, 0.5);
  EXPECT_DOUBLE_EQ(c.tuned, 0.45);
  EXPECT_NEAR(c.forgotten, 0.05, 1e-15);
  EXPECT_EQ(c.lost.size(), 30U);
  EXPECT_EQ(c.lost.front(), 170);
  EXPECT_EQ(c.gained.size(), 10U);
  EXPECT_EQ(c.gained.front(), 390);
  // Of b documents lost and c gained among N: sqrt(b + c - (b - c)^2 / N) / N.
  const double error = std::sqrt(40 - 20.0 * 20 / 400) / 400;
  EXPECT_NEAR(c.error.standard_error, error, kError * error);
  EXPECT_NEAR(c.error.interval[0], c.forgotten - 1.96 * error, 0.3 * error);
  EXPECT_NEAR(c.error.interval[1], c.forgotten + 1.96 * error, 0.3 * error);
  EXPECT_NEAR(eval::mcnemar_z(30, 10), 20 / std::sqrt(40.0), 1e-15);
  EXPECT_EQ(eval::mcnemar_z(0, 0), 0);
  EXPECT_FALSE(found.average);
}

TEST(Forgetting, AveragesThreeBenchmarksDrawnApart) {
  auto base = results_with(json::object()), tuned = results_with(json::object());
  double variance = 0;
  for (const char* task : {"arc_challenge", "hellaswag", "winogrande"}) {
    add(base, task, 500, [](int64_t d) { return d % 2 == 0; });
    add(tuned, task, 500, [](int64_t d) { return d % 2 == 0 && d >= 100; });
    variance += (50 - 50.0 * 50 / 500) / (500.0 * 500);
  }
  const eval::Forgetting found = forgetting_of(base, tuned);
  ASSERT_TRUE(found.average);
  EXPECT_NEAR(found.average->base, 0.5, 1e-15);
  EXPECT_NEAR(found.average->forgotten, 0.1, 1e-15);
  EXPECT_EQ(found.average->documents, 1500);
  // The same documents drawn of each would give the error of one benchmark, sqrt(3) times as large.
  const double error = std::sqrt(variance) / 3;
  EXPECT_NEAR(found.average->error.standard_error, error, kError * error);
}

TEST(Forgetting, TextsCountByTheirBytes) {
  const auto text = [](int64_t d, double nats, double bytes) {
    return json{{"task", "text a"},           {"document", d},
                {"prompt_sha256", "x"},       {"log_likelihood", -nats},
                {"log_likelihood_of_bos", 0}, {"bytes", bytes}};
  };
  auto base = results_with(json::object()), tuned = results_with(json::object());
  base.lines = {text(0, 100, 50), text(1, 20, 150)};
  tuned.lines = {text(0, 110, 50), text(1, 50, 150)};
  const eval::Forgetting found = forgetting_of(base, tuned);
  const eval::Change& c = found.changes[0];
  EXPECT_NEAR(c.base, 120 / 200.0 / std::log(2.0), 1e-12);
  EXPECT_NEAR(c.forgotten, 40 / 200.0 / std::log(2.0), 1e-12);  // a loss that rises is forgetting
  EXPECT_TRUE(c.lost.empty());
  tuned.lines.pop_back();
  base.lines.pop_back();
  EXPECT_TRUE(std::isnan(forgetting_of(base, tuned).changes[0].error.standard_error));
}

TEST(Forgetting, WrittenAnswersCountByTheirSamples) {
  const auto written = [](std::vector<double> passed) {
    return json{{"task", "humaneval"}, {"document", 0}, {"prompt_sha256", "x"}, {"pass", passed}};
  };
  auto base = results_with(json::object()), tuned = results_with(json::object());
  base.lines = {written({1, 1, 0, 1})};
  tuned.lines = {written({0, 1, 0, 0})};
  const eval::Change c = forgetting_of(base, tuned).changes[0];
  EXPECT_DOUBLE_EQ(c.base, 0.75);
  EXPECT_DOUBLE_EQ(c.tuned, 0.25);
  EXPECT_EQ(c.lost, std::vector<int64_t>{0});
}

TEST(Forgetting, RefusesWhatCannotBeCompared) {
  auto base = results_with({{"protocol", "lm-eval"}, {"shots", 0}}),
       tuned = results_with({{"protocol", "gauntlet"}, {"shots", 0}});
  add(base, "piqa", 3, [](int64_t) { return true; });
  add(tuned, "piqa", 3, [](int64_t) { return true; });
  EXPECT_EQ(message_of<ConfigError>([&] { forgetting_of(base, tuned); }),
            "protocol: is \"lm-eval\" in the base's results and \"gauntlet\" in the tuned model's");
  tuned.settings = base.settings;
  tuned.lines[1]["prompt_sha256"] = "another";
  EXPECT_EQ(message_of<DataError>([&] { forgetting_of(base, tuned); }),
            "piqa: document 1 is another text in each of the two results");
  tuned.lines.erase(tuned.lines.begin() + 1);
  EXPECT_EQ(message_of<DataError>([&] { forgetting_of(base, tuned); }),
            "piqa: document 1 has no result of the tuned model");
  tuned.lines.clear();
  EXPECT_EQ(message_of<DataError>([&] { forgetting_of(base, tuned); }),
            "piqa: the tuned model has no results");
}

TEST(ForgetCommand, ComparesTwoModelsAndTheirFiles) {
  const std::string model = std::string(LETHE_SHARED_DATA) + "/models/stories260K-hf";
  if (!std::filesystem::exists(model + "/config.json"))
    GTEST_SKIP() << "no ../shared/data beside the checkout";
  const std::string data = LETHE_SOURCE_DIR "/tests/golden/eval/data";
  Folder folder;
  const auto forget = [&](std::vector<std::string> more) {
    more.insert(more.begin(), "forget");
    for (const char* word : {"--tasks", "hellaswag,piqa", "--device", "cpu", "--json", "--data"})
      more.push_back(word);
    more.push_back(data);
    return lethe_command(more);
  };
  const std::string out = folder / "out";
  const CommandResult same = forget({model, model, "--output", out});
  ASSERT_EQ(same.status, 0) << same.err;
  const json first = json::parse(same.out);
  ASSERT_EQ(first.at("changes").size(), 4U);
  for (const json& change : first.at("changes")) {
    EXPECT_EQ(change.at("forgotten"), 0.0);
    EXPECT_TRUE(change.at("lost").empty());
  }
  EXPECT_EQ(json::parse(read_bytes(out + "/forgetting.json")), first);
  EXPECT_NE(read_bytes(out + "/forgetting.svg").find("hellaswag"), std::string::npos);
  const CommandResult files = forget({out + "/base.jsonl", out + "/tuned.jsonl"});
  ASSERT_EQ(files.status, 0) << files.err;
  EXPECT_EQ(json::parse(files.out).at("changes"), first.at("changes"));
  EXPECT_EQ(forget({model, folder / "absent.jsonl"}).status, 1);
}

}  // namespace
}  // namespace lethe::test
