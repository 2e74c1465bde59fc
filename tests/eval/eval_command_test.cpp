// `lethe eval` on a real model against what lm-evaluation-harness decided on the same documents.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "model/weights/save.h"
#include "tests/files.h"
#include "tests/run/process.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

using nlohmann::json;

const std::string kModel = std::string(LETHE_SHARED_DATA) + "/models/stories260K-hf";
const std::string kGolden = LETHE_SOURCE_DIR "/tests/golden/eval";
const std::string kSixTasks = "hellaswag,arc_challenge,arc_easy,winogrande,piqa,openbookqa";
const std::string kTasks = kSixTasks + ",mmlu";

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

  // The file that a run writes.
  std::string run(const std::string& name, std::vector<std::string> arguments,
                  const std::vector<std::string>& more = {}) const {
    const std::string file = folder_ / name;
    arguments.insert(arguments.end(), {"--output", file});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const CommandResult ran = eval(arguments);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return file;
  }

  // What was found but for the log-likelihoods.
  static std::map<std::pair<std::string, int64_t>, json> decisions(const std::string& file) {
    auto found = results(file);
    for (auto& [key, line] : found) line.erase("log_likelihoods");
    return found;
  }

  // Nine, of unequal lengths, for texts to be written to.
  void write_problems() const {
    std::string questions, solved;
    for (int i = 0; i < 9; ++i) {
      std::string text = "Once upon a time there was a girl";
      for (int k = 0; k < i; ++k) text += k % 2 == 0 ? " and a big dog" : " who had a red ball";
      questions += json{{"question", text + "."}, {"answer", fmt::format("#### {}", i)}}.dump() + "\n";
      solved +=
          json{{"question", text + "?"}, {"answer", fmt::format("It is {}.\n#### {}", i, i)}}.dump() + "\n";
    }
    write_text(folder_ / "gsm8k_test.jsonl", questions);
    write_text(folder_ / "gsm8k_train.jsonl", solved);
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

// Two windows of one text, none but the first whole. The harness sums thousands of nats in float: 2^-11 of a
// nat is the last place.
TEST_F(EvalCommand, ScoresTextsAsTheHarnessDoes) {
  const std::string file = folder_ / "texts.jsonl";
  ASSERT_EQ(eval({"--tasks", "wikitext", "--output", file}).status, 0);
  const auto got = results(file), expected = results(kGolden + "/stories260k_wikitext.jsonl");
  ASSERT_EQ(got.size(), 2u);
  for (const auto& [key, theirs] : expected) {
    for (const char* name : {"words", "bytes", "prompt_sha256"})
      EXPECT_EQ(got.at(key).at(name), theirs.at(name));
    EXPECT_NEAR(got.at(key).at("log_likelihood").get<double>(), theirs.at("log_likelihood").get<double>(),
                2e-3);
  }
}

TEST_F(EvalCommand, MeasuresAnyText) {
  // The model's own golden text, whose mean loss another implementation found.
  const json golden = json::parse(read_bytes(kModel + "/golden.json"));
  const std::string file = write_text(folder_ / "story.txt", golden.at("loss_text").get<std::string>());
  const CommandResult ran = eval({"--text", file, "--json", "--output", folder_ / "out.jsonl"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const json line = results(folder_ / "out.jsonl").begin()->second;
  const double targets = golden.at("loss_predicted_tokens"), nats = golden.at("mean_nll");
  EXPECT_EQ(line.at("tokens"), targets);
  EXPECT_NEAR(-line.at("log_likelihood").get<double>(), targets * nats, targets * 1e-5);
}

TEST_F(EvalCommand, DecisionsDoNotDependOnTheBatch) {
  for (const std::string protocol : {"lm-eval", "gauntlet"}) {
    std::vector<std::string> arguments{"--tasks", kSixTasks, "--shots", "2", "--protocol", protocol};
    if (protocol == "lm-eval") arguments[1] = kTasks;
    const std::string all = run(protocol + ".jsonl", arguments);
    for (const std::string batch : {"1", "7", "64"}) {
      const std::string file = run(protocol + batch + ".jsonl", arguments, {"--batch", batch});
      expect_same(file, all);
      EXPECT_EQ(decisions(file), decisions(all)) << protocol << " " << batch;
    }
  }
}

TEST_F(EvalCommand, WrittenTextsDoNotDependOnTheBatch) {
  write_problems();
  for (const std::string temperature : {"0", "0.8"}) {
    const std::vector<std::string> arguments{"--tasks",          "gsm8k", "--data",        folder_.path(),
                                             "--shots",          "1",     "--samples",     "2",
                                             "--max-new-tokens", "24",    "--temperature", temperature};
    const std::string one = run("one" + temperature, arguments, {"--batch", "1"});
    ASSERT_EQ(results(one).size(), 9u);
    for (const std::string batch : {"7", "64"}) {
      const std::string file = run("batch" + batch + temperature, arguments, {"--batch", batch});
      EXPECT_EQ(results(file), results(one)) << batch;
    }
  }
}

TEST_F(EvalCommand, AMergedAdapterDecidesAsOneBesideTheModel) {
  write_problems();
  ProgramSpec spec;
  spec.config = parse_config(kModel + "/config.json");
  spec.lora = tiny_lora(4, 0);
  TinyRun made(spec, 1);
  randomise_lora_b(*made.session, 7);
  const std::string adapter = folder_ / "adapter";
  save_adapter(adapter, *made.session, *spec.lora, spec.config, "");
  for (const std::string protocol : {"lm-eval", "gauntlet"}) {
    const std::vector<std::string> arguments{"--tasks", kSixTasks, "--protocol", protocol};
    const std::string without = run(protocol + "without", arguments),
                      beside = run(protocol + "beside", arguments, {"--adapter", adapter}),
                      merged = run(protocol + "merged", arguments, {"--adapter", adapter, "--merge"});
    EXPECT_EQ(decisions(beside), decisions(merged));
    expect_same(merged, beside);
    EXPECT_NE(decisions(without), decisions(merged)) << "the adapter must do something";
  }
  const std::vector<std::string> arguments{"--tasks", "gsm8k", "--data",           folder_.path(),
                                           "--shots", "0",     "--max-new-tokens", "24"};
  const std::string without = run("without", arguments),
                    beside = run("beside", arguments, {"--adapter", adapter}),
                    merged = run("merged", arguments, {"--adapter", adapter, "--merge"});
  EXPECT_EQ(results(beside), results(merged));
  EXPECT_NE(results(without), results(merged)) << "the adapter must do something";
}

// Ranked by the mean of a token; the averages are those of the table's own numbers.
TEST_F(EvalCommand, TheGauntletDecidesByTheMeanLossOfAToken) {
  const std::string file = folder_ / "gauntlet.jsonl";
  const std::vector<std::string> arguments{"--protocol", "gauntlet", "--tasks", kSixTasks, "--output", file};
  std::vector<std::string> as_json = arguments;
  as_json.push_back("--json");
  const CommandResult ran = eval(as_json);
  ASSERT_EQ(ran.status, 0) << ran.err;
  const json results_of_all = json::parse(ran.out);
  EXPECT_EQ(results_of_all.at("settings").at("protocol"), "gauntlet");
  // Its own number of examples; where the file has fewer, all of the others.
  const std::map<std::string, size_t> shots{{"hellaswag", 0},  {"arc_challenge", 3}, {"arc_easy", 3},
                                            {"winogrande", 5}, {"piqa", 0},          {"openbookqa", 5}};
  std::map<std::string, double> right, count;
  for (const auto& [key, line] : results(file)) {
    const auto sums = line.at("log_likelihoods").get<std::vector<double>>();
    size_t best = 0;
    for (size_t i = 1; i < sums.size(); ++i) {
      if (sums[i] / line.at("tokens")[i].get<double>() > sums[best] / line.at("tokens")[best].get<double>())
        best = i;
    }
    EXPECT_EQ(line.at("acc"), line.at("gold") == best ? 1 : 0) << line.dump();
    EXPECT_EQ(line.at("shots").size(), shots.at(key.first));
    right[key.first] += line.at("acc").get<double>();
    ++count[key.first];
  }
  double sum = 0;
  for (const json& r : results_of_all.at("results")) {
    const std::string task = r.at("task");
    const double accuracy = r.at("metrics").at("acc").at("value"),
                 chance = r.at("metrics").at("above_chance").at("value");
    EXPECT_NEAR(accuracy, right.at(task) / count.at(task), 1e-15);
    const double baseline = task == "piqa" || task == "winogrande" ? 0.5 : 0.25;
    EXPECT_NEAR(chance, (accuracy - baseline) / (1 - baseline), 1e-15);
    EXPECT_FALSE(r.at("metrics").contains("acc_norm"));
    EXPECT_TRUE(r.at("file").get<std::string>().starts_with(kGolden));
    sum += chance;
  }
  const json& averages = results_of_all.at("averages");
  ASSERT_EQ(averages.size(), 2u);
  EXPECT_NEAR(averages[0].at("metrics").at("above_chance").at("value").get<double>(), sum / 6, 1e-15);
  const double three = right["hellaswag"] / count["hellaswag"] +
                       right["arc_challenge"] / count["arc_challenge"] +
                       right["winogrande"] / count["winogrande"];
  EXPECT_NEAR(averages[1].at("metrics").at("accuracy").at("value").get<double>(), three / 3, 1e-15);
  // The same from the file alone, and as a table.
  EXPECT_EQ(json::parse(eval(as_json).out), results_of_all);
  expect_parts(eval(arguments).out, {"above_chance", "gauntlet_average", "forgetting_average"});
  // Another protocol's results are not these.
  const CommandResult other = eval({"--tasks", "piqa", "--output", file});
  EXPECT_EQ(other.status, 2);
  expect_parts(other.err, {"protocol", "lm-eval", "gauntlet"});
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
  refused({}, {"--tasks", "--text"});
  refused({"--text", folder_ / "none"}, {"none"});
  refused({"--tasks", "hellaswg"}, {"hellaswg", "hellaswag"});
  refused({"--tasks", "mmlu", "--protocol", "gauntlet"}, {"gauntlet", "mmlu", "hellaswag, arc_challenge"});
  refused({"--tasks", "gsm8k", "--protocol", "gauntlet"}, {"gauntlet", "gsm8k"});
  refused({"--tasks", "piqa", "--protocol", "olmes"}, {"protocol", "olmes"});
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
