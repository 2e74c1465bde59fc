// The whole report of a study: its files, the same bytes each time, and what it says when lines are missing.
#include "tools/analysis/report.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "engine/error.h"
#include "tests/analysis/grid_sample.h"
#include "tools/analysis/grid.h"
#include "tools/analysis/records.h"

namespace lethe::analysis {
namespace {

namespace fs = std::filesystem;

std::string folder() {
  static int count = 0;
  return testing::TempDir() + "grid_report_" + std::to_string(getpid()) + "_" + std::to_string(++count);
}

std::map<std::string, std::string> files_in(const std::string& root) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    std::ostringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    found[fs::relative(entry.path(), root).string()] = text.str();
  }
  return found;
}

TEST(GridReport, IsTheSameBytesEachTime) {
  const std::string results = grid_file({}), first = folder(), second = folder();
  write_report(results, first);
  write_report(results, second);
  const auto files = files_in(first);
  EXPECT_EQ(files, files_in(second));
  write_report(results, first);
  EXPECT_EQ(files, files_in(first)) << "written over itself";
  for (const char* name : {"claims", "learning", "forgetting", "plane", "learning_rate", "regularisation",
                           "diversity", "layer_rank", "change_rank", "intruders", "modules", "alpha",
                           "variants", "mitigation", "base", "size", "cost"}) {
    EXPECT_TRUE(files.contains(std::string("figures/") + name + ".svg")) << name;
    EXPECT_TRUE(files.contains(std::string("tables/") + name + ".csv")) << name;
    EXPECT_NE(files.at("report.md").find(std::string("figures/") + name + ".svg"), std::string::npos);
  }
  for (const auto& [name, text] : files) EXPECT_EQ(text.find(first), std::string::npos) << name;
}

TEST(GridReport, TablesHaveOneWidth) {
  const std::string output = folder();
  write_report(grid_file({}), output);
  for (const auto& [name, text] : files_in(output + "/tables")) {
    std::istringstream lines(text);
    std::string line;
    int64_t columns = -1;
    while (std::getline(lines, line)) {
      int64_t commas = 0;
      bool quoted = false;
      for (const char c : line) quoted ^= c == '"', commas += c == ',' && !quoted;
      if (columns < 0) columns = commas;
      ASSERT_EQ(commas, columns) << name << ": " << line;
    }
    EXPECT_GT(columns, 0) << name;
  }
}

TEST(GridReport, WhatIsMissingIsSaidAndLeavesNoFiles) {
  const std::string output = folder();
  write_report(grid_file({}), output);
  write_report(
      grid_file({.rates = false, .settings = false, .widths = false, .spectra = false, .samples = false}),
      output);
  const auto files = files_in(output);
  for (const char* name :
       {"learning_rate", "regularisation", "diversity", "layer_rank", "intruders", "size"}) {
    EXPECT_FALSE(files.contains(std::string("figures/") + name + ".svg")) << name;
    EXPECT_FALSE(files.contains(std::string("figures/") + name + ".png")) << name;
    EXPECT_FALSE(files.contains(std::string("tables/") + name + ".csv")) << name;
  }
  const std::string& report = files.at("report.md");
  EXPECT_NE(report.find("The file has no samples of the main runs."), std::string::npos);
  EXPECT_NE(report.find("The file has models of one width only."), std::string::npos);
  EXPECT_NE(report.find("the file has no lines to decide it by"), std::string::npos);
}

TEST(GridReport, AStudyThatHasOnlyBegunIsReported) {
  const std::string output = folder();
  write_report(grid_file({.seeds = 0, .rates = false}), output);
  EXPECT_NE(files_in(output).at("report.md").find("The file has no scores of what was learned."),
            std::string::npos);
}

void expect_refused(const std::string& text, const std::string& word) {
  const std::string output = folder();
  try {
    write_report(file_of(text), output);
    FAIL() << "accepted: " << word;
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
  EXPECT_FALSE(fs::exists(output)) << "nothing is written for a file that cannot be read";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// An evaluation may write null for the step and the tokens of its scores: they stand at the run's end.
TEST(GridReport, AScoreWithoutAStepStandsAtItsRunsEnd) {
  const std::string text = grid_text({.seeds = 1, .rates = false, .settings = false, .widths = false});
  std::string without;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line); without += line + "\n") {
    if (line.find("hellaswag") == std::string::npos) continue;
    line =
        replaced(replaced(line, "\"step\":100", "\"step\":null"), "\"tokens\":1000000.0", "\"tokens\":null");
  }
  const Records records = read_records(file_of(without));
  int64_t seen = 0;
  for (const Score& score : records.scores) {
    if (score.name != "hellaswag") continue;
    ++seen;
    EXPECT_EQ(score.step, 100);
    EXPECT_EQ(score.tokens, records.run_of(score.job)->duration_tokens) << score.job;
  }
  EXPECT_GT(seen, 3);
  const std::string with_steps = folder(), without_steps = folder();
  write_report(file_of(text), with_steps);
  write_report(file_of(without), without_steps);
  EXPECT_EQ(files_in(with_steps), files_in(without_steps));
}

// A model that was given has no loss of its own. The best of several rates is still the best, and no run
// counts as diverged for it.
TEST(GridReport, ABaseWithoutAScoreLeavesTheBestRateTheBest) {
  std::string text;
  std::istringstream lines(
      grid_text({.seeds = 1, .instructions = false, .settings = false, .widths = false}));
  for (std::string line; std::getline(lines, line);) {
    const bool of_base = line.find("\"job\":\"base-0\",\"kind\":\"score\"") != std::string::npos;
    const bool diverged = line.find("\"diverged\":true") != std::string::npos;
    if (of_base || diverged || line.find("\"value\":null") != std::string::npos) continue;
    text += line + "\n";
  }
  const Records records = read_records(file_of(text));
  const Grid grid(records);
  const Panel& panel = grid.panels().front();
  for (const Condition& condition : grid.main_conditions(panel))
    EXPECT_EQ(grid.cells(panel, condition).back().learning_rate, rule_of(condition.like->rank, false).best);
  const std::string output = folder();
  write_report(file_of(text), output);
  EXPECT_FALSE(fs::exists(output + "/figures/learning_rate.svg"));
}

// docs/results is what the report makes of the results beside it. A PNG depends on the program that draws it.
TEST(GridReport, ThePublishedResultsAreMadeAgainByteForByte) {
  const std::string published = std::string(LETHE_SOURCE_DIR) + "/docs/results/one-gpu", output = folder();
  write_report(published + "/results.jsonl", output);
  const auto comparable = [](std::map<std::string, std::string> files) {
    std::erase_if(files, [](const auto& file) {
      return file.first.ends_with(".png") || file.first == "results.jsonl";
    });
    for (auto& [name, text] : files)
      if (name == "report.md") text = std::regex_replace(text, std::regex(R"(, \[PNG\]\([^)]*\))"), "");
    return files;
  };
  const auto made = comparable(files_in(output)), kept = comparable(files_in(published));
  ASSERT_GT(made.size(), 20u);
  for (const auto& [name, text] : made) {
    ASSERT_TRUE(kept.contains(name)) << name;
    EXPECT_TRUE(kept.at(name) == text) << name << " differs: lethe report docs/results/one-gpu/results.jsonl";
  }
  EXPECT_EQ(made.size(), kept.size());
}

TEST(GridReport, WrongFilesAreNamed) {
  const std::string good = grid_text({.seeds = 1, .rates = false, .settings = false, .widths = false});
  expect_refused("", "no line of kind");
  expect_refused(good.substr(good.find('\n') + 1), "line 1");
  expect_refused(good + good.substr(0, good.find('\n')), "second line of kind");
  expect_refused(good + "{\"kind\":\"other\"}\n", "other");
  expect_refused(good + "not JSON\n", "line");
  expect_refused(replaced(good, "\"metric\":\"loss\"", "\"metric\":\"perplexity\""), "metric");
  expect_refused(replaced(good, "\"seed\":0", "\"seed\":\"0\""), "seed");
  expect_refused(replaced(good, "\"seed\":0,", ""), "seed");
  expect_refused(replaced(good, "\"rank\":4", "\"rank\":null"), "rank");
  expect_refused(good +
                     R"({"kind":"score","job":"nobody","step":1,"tokens":1,"role":"learning","name":"x",)" +
                     R"("metric":"loss","value":1,"standard_error":null})" + "\n",
                 "nobody");
  EXPECT_THROW(write_report("/no/such/file", folder()), IoError);
}

TEST(GridReport, TheTwoKindsOfStudyAreToldApart) {
  EXPECT_TRUE(is_grid_study(grid_file({.seeds = 0})));
  EXPECT_FALSE(is_grid_study(file_of("{\"kind\":\"study\",\"source\":{}}\n")));
}

}  // namespace
}  // namespace lethe::analysis
