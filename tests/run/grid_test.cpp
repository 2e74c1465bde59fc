// A grid study: the paper's numbers in its graph, and a small grid run, interrupted and gone on with.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "optim/schedule.h"
#include "tests/files.h"
#include "tools/run/model_source.h"
#include "tools/run/training_run.h"
#include "tools/study/grid/jobs.h"
#include "tools/study/grid/journal.h"
#include "tools/study/grid/runner.h"

namespace lethe::grid {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kSource = LETHE_SOURCE_DIR;

Request paper(const std::string& name) {
  return {.file = kSource + "/configs/study/paper/" + name + ".yaml",
          .assignments = {"grid.bases.llama.config_path=" + kSource + "/configs/models/llama-2-7b.json"}};
}

// The numbers of a job's line in a dry run: rate, batches, first batch, warm-up, cooldown, trainable.
std::vector<double> numbers(const std::string& text, const std::string& job) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id;
    words >> id;
    if (id != job) continue;
    std::vector<double> found(6);
    for (double& n : found) words >> n;
    return found;
  }
  ADD_FAILURE() << "no line of " << job;
  return {};
}

using Numbers = std::vector<double>;

TEST(PaperGrid, CodeCptHasThePapersBatchesAndCooldowns) {
  const std::string text = describe_grid(paper("code-cpt"));
  EXPECT_EQ(numbers(text, "code-cpt.full.s0.20B"), (Numbers{1e-5, 25431, 0, 1000, 5086, 6738415616}));
  EXPECT_EQ(numbers(text, "code-cpt.lora-r16.s0.250M"), (Numbers{1e-5, 318, 254, 1000, 64, 39976960}));
  EXPECT_EQ(numbers(text, "code-cpt.lora-r16.s0.500M"), (Numbers{1e-5, 636, 509, 1000, 127, 39976960}));
  EXPECT_EQ(numbers(text, "code-cpt.lora-r64.s0.1B"), (Numbers{1e-5, 1272, 1017, 1000, 255, 159907840}));
  EXPECT_EQ(numbers(text, "code-cpt.lora-r256.s0.2B"), (Numbers{1e-5, 2543, 2035, 1000, 508, 639631360}));
  EXPECT_EQ(numbers(text, "code-cpt.lora-r256.s0.4B"), (Numbers{1e-5, 5086, 4069, 1000, 1017, 639631360}));
  EXPECT_EQ(numbers(text, "code-cpt.lora-r16.s0.8B"), (Numbers{1e-5, 10173, 8138, 1000, 2035, 39976960}));
  EXPECT_EQ(numbers(text, "code-cpt.lora-r16.s0.16B"), (Numbers{1e-5, 20345, 16276, 1000, 4069, 39976960}));
}

TEST(PaperGrid, MathCptHasItsOwnRates) {
  const std::string text = describe_grid(paper("math-cpt"));
  EXPECT_EQ(numbers(text, "math-cpt.full.s0.20B"), (Numbers{1e-5, 25431, 0, 1000, 5086, 6738415616}));
  EXPECT_EQ(numbers(text, "math-cpt.lora-r256.s0.20B"), (Numbers{4e-5, 25431, 0, 1000, 5086, 639631360}));
}

TEST(PaperGrid, IftHasARunForEachNumberOfEpochs) {
  const std::string code = describe_grid(paper("code-ift"));
  const std::vector<std::pair<std::string, double>> batches{
      {"1ep", 193}, {"2ep", 386}, {"4ep", 772}, {"8ep", 1544}, {"16ep", 3088}};
  for (const auto& [epochs, n] : batches) {
    const double warmup = std::floor(0.1 * n);
    EXPECT_EQ(numbers(code, "code-ift.full.s0." + epochs), (Numbers{5e-5, n, 0, warmup, 0, 6738415616}));
    EXPECT_EQ(numbers(code, "code-ift.lora-r64.s0." + epochs), (Numbers{2e-4, n, 0, warmup, 0, 159907840}));
    EXPECT_EQ(numbers(code, "code-ift.lora-r256.s0." + epochs), (Numbers{1e-4, n, 0, warmup, 0, 639631360}));
  }
  const std::string math = describe_grid(paper("math-ift"));
  EXPECT_EQ(numbers(math, "math-ift.full.s0.1ep")[0], 1e-5);
  EXPECT_EQ(numbers(math, "math-ift.lora-r16.s0.16ep")[0], 1e-4);
  EXPECT_EQ(numbers(math, "math-ift.lora-r256.s0.16ep")[0], 5e-5);
}

TEST(PaperGrid, OptionsAreThePapers) {
  for (const char* name : {"code-cpt", "math-cpt", "code-ift", "math-ift"}) {
    const Request request = paper(name);
    const Study study = read_study(request.file, request.assignments);
    for (const Job& job : jobs_of(study)) {
      if (job.stage != "train" && job.stage != "branch") continue;
      const TrainOptions o = options_of(study, job.run, "");
      const bool math_ift = std::string(name) == "math-ift";
      EXPECT_EQ(o.optimizer.name, "lion") << job.id;
      EXPECT_EQ(o.optimizer.beta1, 0.9);
      EXPECT_EQ(o.optimizer.beta2, 0.95);
      EXPECT_EQ(o.optimizer.weight_decay, std::string(name) == "code-cpt" ? 1e-6 : 0) << job.id;
      EXPECT_EQ(o.train.max_gradient_norm, 1);
      EXPECT_EQ(o.train.batch_size, math_ift ? 768 : 192) << job.id;
      EXPECT_EQ(o.train.micro_batch_size, math_ift ? 24 : 6) << job.id;
      EXPECT_EQ(o.data.sequence_length, math_ift ? 1024 : 4096) << job.id;
      if (job.run.rank == 0) continue;
      EXPECT_EQ(o.lora.alpha, 2.0 * static_cast<double>(job.run.rank)) << job.id;
      EXPECT_EQ(o.lora.dropout, 0.05);
    }
  }
}

TEST(PaperGrid, FigureFourHasBothRegularisers) {
  const Request request = paper("regularisation");
  const Study study = read_study(request.file, request.assignments);
  std::map<std::string, std::array<double, 3>> found;  // learning rate, weight decay, attention dropout
  for (const Job& job : jobs_of(study)) {
    if (job.stage != "train") continue;
    const TrainOptions o = options_of(study, job.run, "");
    const double dropout = program_spec_of(o, model_config(o.model)).config.attention_dropout;
    found[job.run.label] = {o.optimizer.learning_rate, o.optimizer.weight_decay, dropout};
  }
  const std::map<std::string, std::array<double, 3>> expected{{"full", {5e-5, 0, 0}},
                                                              {"lora-r16", {2e-4, 0, 0}},
                                                              {"lora-r256", {1e-4, 0, 0}},
                                                              {"full-wd5e-05", {5e-5, 5e-5, 0}},
                                                              {"full-wd0.0001", {5e-5, 1e-4, 0}},
                                                              {"full-ad0.05", {5e-5, 0, 0.05}},
                                                              {"full-ad0.1", {5e-5, 0, 0.1}}};
  EXPECT_EQ(found, expected);
}

// A duration within the warm-up: 318 batches of a warm-up of 1000. Both end as the fact says: risen to 0.318
// of the peak, or fallen to nothing from 0.254.
TEST(PaperGrid, ShortDurationsRiseToTheirEndOrFallFromWhereTheyAre) {
  for (const char* rule : {"warmup", "scaled"}) {
    Request request = paper("code-cpt");
    request.assignments.push_back(std::string("grid.experiments.code-cpt.short_branches=") + rule);
    const Study study = read_study(request.file, request.assignments);
    for (const Job& job : jobs_of(study)) {
      if (job.id != "code-cpt.full.s0.250M") continue;
      TrainOptions o = options_of(study, job.run, "");
      shape_schedule(job.run, course_of(job.run.experiment, o, job.run.duration, 0), o);
      const ScheduleSpec spec = schedule_spec({.name = o.schedule.name,
                                               .warmup = o.schedule.warmup,
                                               .scale = o.schedule.scale,
                                               .cooldown = o.schedule.cooldown,
                                               .alpha_f_decay = 1},
                                              {.steps = 318});
      const auto rate = [&](int64_t step) { return o.optimizer.learning_rate * multiplier(spec, step); };
      const bool rises = std::string(rule) == "warmup";
      EXPECT_NEAR(rate(254), 0.254e-5, 1e-18);  // a few roundings of numbers near 1e-5
      EXPECT_NEAR(rate(317), rises ? 0.317e-5 : 0.254e-5 / 64, 1e-18);
    }
  }
}

class SmallGrid : public testing::Test {
 protected:
  void SetUp() override {
    std::ofstream english(folder_ / "english.jsonl"), math(folder_ / "math.jsonl");
    for (int i = 0; i < 300; ++i) {
      std::string words, signs;
      for (int w = 0; w < 40; ++w) {
        words += fmt_word((i * 31 + w * 17) % 97) + " ";
        signs += "\\frac{" + std::to_string((i * 7 + w) % 50) + "}{x_" + std::to_string(w % 9) + "} + ";
      }
      english << json{{"text", words}}.dump() << "\n";
      math << json{{"text", signs}}.dump() << "\n";
    }
  }
  static std::string fmt_word(int n) {
    std::string word;
    for (int k = 0; k < 3 + n % 4; ++k) word += static_cast<char>('a' + (n * (k + 3) + k) % 26);
    return word;
  }
  Request request(double minutes) const {
    return {.file = kSource + "/configs/study/grid-mini.yaml",
            .assignments = {"grid.texts.english.path=" + (folder_ / "english.jsonl"),
                            "grid.texts.latex.path=" + (folder_ / "math.jsonl"),
                            "grid.bases.tiny.vocab_size=320", "grid.bases.untouched.vocab_size=320"},
            .output = folder_ / "out",
            .command = "lethe study",
            .max_minutes = minutes};
  }
  std::vector<json> lines() const {
    std::vector<json> found;
    std::ifstream file(folder_ / "out/results.jsonl");
    for (std::string line; std::getline(file, line);) found.push_back(json::parse(line));
    return found;
  }
  test::Folder folder_;
};

TEST_F(SmallGrid, GoesOnWhereTheTimeWasUpAndKeepsNoCheckpoint) {
  // Each call has time for part of the jobs: a fiftieth of a second, and a step at least.
  int calls = 0;
  while (!run_grid(request(0.02 / 60)) && calls < 400) ++calls;
  EXPECT_GT(calls, 1);
  ASSERT_LT(calls, 400);
  const Request asked = request(0);
  const std::vector<Job> jobs = jobs_of(read_study(asked.file, asked.assignments));
  std::multiset<std::string> finished;
  std::set<std::string> runs;
  std::map<std::string, double> dropouts;
  int studies = 0;
  for (const json& line : lines()) {
    const std::string kind = line.at("kind");
    if (kind == "study") ++studies;
    if (kind == "job") finished.insert(line.at("job").get<std::string>());
    if (kind == "run") runs.insert(line.at("job").get<std::string>());
    if (kind == "run") dropouts[line.at("label").get<std::string>()] = line.at("attention_dropout");
    if (kind == "score") {
      EXPECT_TRUE(line.at("step").is_number_integer()) << line;
    }
    if (kind == "spectrum") {
      EXPECT_LE(line.at("singular_values").size(), 32u);
      for (const double value : line.at("singular_values"))
        EXPECT_EQ(std::stod(fmt::format("{:.5g}", value)), value) << "5 digits";
    }
  }
  EXPECT_EQ(studies, 1);
  EXPECT_EQ(dropouts.at("full"), 0);
  EXPECT_EQ(dropouts.at("full-ad0.1"), 0.1);
  EXPECT_EQ(dropouts.at("full-ad0.3"), 0.3);
  EXPECT_EQ(finished.size(), jobs.size());
  for (const Job& job : jobs) EXPECT_EQ(finished.count(job.id), 1) << job.id;
  EXPECT_TRUE(runs.contains("latex.lora-r2.s0.6.144K.scale0.5"));
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "out/jobs")) {
    EXPECT_FALSE(entry.path().filename() == "checkpoints") << entry.path();
  }
  const auto before = lines().size();
  EXPECT_TRUE(run_grid(request(0)));
  EXPECT_EQ(lines().size(), before);  // nothing is done twice
}

// A stopped and resumed grid comes to the same losses as one that ran through.
TEST_F(SmallGrid, AStopChangesNoLoss) {
  int calls = 0;
  while (!run_grid(request(0.02 / 60)) && calls < 400) ++calls;
  const std::vector<json> stopped = lines();
  fs::remove_all(folder_ / "out");
  ASSERT_TRUE(run_grid(request(0)));
  const auto losses = [](const std::vector<json>& all) {
    std::map<std::string, double> found;
    for (const json& l : all) {
      if (l.at("kind") == "score")
        found[l.at("job").get<std::string>() + l.at("name").get<std::string>()] = l.at("value");
    }
    return found;
  };
  EXPECT_EQ(losses(stopped), losses(lines()));
}

// What a benchmark's line takes from its run's.
TEST_F(SmallGrid, AJournalKnowsWhereARunEnded) {
  const std::string path = folder_ / "journal.jsonl";
  std::ofstream(path) << R"({"kind":"run","job":"a","steps":7,"tokens":448.0})"
                      << "\n"
                      << R"({"kind":"run","job":"old","steps":3})"
                      << "\n"
                      << R"({"kind":"job","job":"a"})"
                      << "\n";
  const Journal journal(path);
  EXPECT_EQ(journal.end_of("a").step, 7);
  EXPECT_EQ(journal.end_of("a").tokens, 448);
  EXPECT_EQ(journal.end_of("old").step, 3);
  EXPECT_TRUE(journal.end_of("old").tokens.is_null());
  EXPECT_TRUE(journal.end_of("nobody").step.is_null());
}

// One base ran through its own texts while it was trained, one never saw the target: both have the losses
// that their experiments are counted from.
TEST_F(SmallGrid, EveryBaseIsScoredOnTheTextsOfItsExperiments) {
  ASSERT_TRUE(run_grid(request(0)));
  std::map<std::string, std::vector<json>> scores;
  std::map<std::string, double> rates;
  std::map<std::string, json> steps;
  for (const json& l : lines()) {
    if (l.at("kind") == "run")
      rates[l.at("job")] = l.at("learning_rate").is_null() ? 0 : l.at("learning_rate").get<double>();
    if (l.at("kind") == "run") steps[l.at("job")] = l.at("steps");
    if (l.at("kind") == "score")
      scores[l.at("job").get<std::string>() + " " + l.at("name").get<std::string>()].push_back(l);
  }
  const std::vector<json>& told = scores.at("base.tiny latex");
  ASSERT_EQ(told.size(), 2u);  // at its end, and as its experiment measures
  // The same text and model, float throughout: only the adapter's zeros are added.
  EXPECT_NEAR(told[0].at("value"), told[1].at("value"), 1e-5);
  ASSERT_EQ(scores.at("base.untouched latex").size(), 1u);
  const json& never_read = scores.at("base.untouched latex").front();
  EXPECT_EQ(never_read.at("role"), "learning");
  EXPECT_EQ(never_read.at("step"), steps.at("base.untouched"));
  EXPECT_GT(never_read.at("value"), told[0].at("value"));
  EXPECT_EQ(rates.at("latex-untouched.full-lr0.003.s0.3.072K"), 3e-3);
  EXPECT_EQ(rates.at("latex-untouched.lora-r2.s0.3.072K"), rates.at("latex.lora-r2.s0.6.144K"));
  EXPECT_FALSE(fs::exists(folder_ / "out/texts/tokenizer-untouched"));
}

TEST_F(SmallGrid, ARateOfAnotherTargetIsRefused) {
  Request asked = request(0);
  asked.assignments.push_back("grid.experiments.latex-untouched.target=english");
  EXPECT_THROW(run_grid(asked), ConfigError);
}

TEST_F(SmallGrid, AWrongKeyIsRefusedByItsName) {
  Request asked = request(0);
  asked.assignments.push_back("grid.experiments.latex.duration=3 epochs");
  try {
    run_grid(asked);
    FAIL() << "an unknown key was taken";
  } catch (const ConfigError& e) {
    EXPECT_NE(std::string(e.what()).find("grid.experiments.latex.duration"), std::string::npos) << e.what();
  }
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

}  // namespace
}  // namespace lethe::grid
