#include "tools/report/figures.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/tools/results_sample.h"

namespace lethe::report {
namespace {

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
  return count;
}

TEST(Figures, AllAreDrawnForAWholeStudy) {
  const std::vector<Figure> figures = figures_of(read_results(sample_file(usual_sample())));
  std::vector<std::string> names;
  for (const Figure& figure : figures) names.push_back(figure.name);
  EXPECT_EQ(names, (std::vector<std::string>{"learning", "forgetting", "plane", "learning_accuracy",
                                             "forgetting_accuracy", "spectra", "spectrum", "rank", "sweep",
                                             "base"}));
  for (const Figure& figure : figures) {
    for (const Drawing* drawing : {&figure.wide, &figure.narrow}) {
      EXPECT_EQ(drawing->body.find("nan"), std::string::npos) << figure.name;
      EXPECT_EQ(drawing->body.find("inf"), std::string::npos) << figure.name;
    }
  }
}

TEST(Figures, WhatWasNotMeasuredIsNotDrawn) {
  Sample sample = usual_sample();
  sample.base = sample.spectra = sample.sweep = false;
  sample.runs.resize(1);
  std::vector<std::string> names;
  for (const Figure& figure : figures_of(read_results(sample_file(sample)))) names.push_back(figure.name);
  EXPECT_EQ(names, (std::vector<std::string>{"learning", "forgetting", "plane", "learning_accuracy",
                                             "forgetting_accuracy"}));
  sample.runs.clear();
  EXPECT_TRUE(figures_of(read_results(sample_file(sample))).empty());
}

TEST(Figures, ADivergedRunEndsInACross) {
  Sample sample = usual_sample();
  EXPECT_EQ(count_of(learning_figure(read_results(sample_file(sample)))->wide.body, "class=\"cross"), 0u);
  sample.runs[2].nan_from = 5;
  const std::string body = learning_figure(read_results(sample_file(sample)))->wide.body;
  EXPECT_EQ(count_of(body, "class=\"cross c2\""), 1u);
  EXPECT_EQ(count_of(body, "class=\"mark c2\""), 5u + 1u) << "five points and the label's mark";
}

TEST(Figures, ARunThatExplodesLeavesTheOthersReadable) {
  Sample sample = usual_sample();
  sample.runs[1].learned = -1e6;
  const std::string body = learning_figure(read_results(sample_file(sample)))->wide.body;
  EXPECT_EQ(count_of(body, "class=\"cross c1\""), 1u);
  EXPECT_EQ(body.find("200,000</text>"), std::string::npos) << "the axis follows the other runs";
}

TEST(Figures, LoraSpectraEndAtTheirRank) {
  const std::string body = median_spectrum_figure(read_results(sample_file(usual_sample())))->wide.body;
  EXPECT_EQ(count_of(body, "dotted"), 3u) << "three LoRA runs are cut, full fine-tuning is not";
}

TEST(Figures, LooksFollowTheRankNotTheFile) {
  Sample sample = usual_sample();
  std::swap(sample.runs[0], sample.runs[3]);
  const std::vector<Styled> styled = styled_runs(read_results(sample_file(sample)));
  ASSERT_EQ(styled.size(), 4u);
  EXPECT_EQ(styled[0].run.name, "full");
  EXPECT_EQ(styled[0].look.color, "c0");
  EXPECT_EQ(styled[1].run.rank, 4);
  EXPECT_EQ(styled[3].run.rank, 64);
  EXPECT_EQ(styled[3].look.color, "c3");
}

TEST(Plot, TokensAreCountedInTheUnitThatKeepsLabelsShort) {
  EXPECT_EQ(token_axis("Tokens", 901'120, 5).title, "Tokens (thousands)");
  EXPECT_EQ(token_axis("Tokens", 20e9, 5).title, "Tokens (billions)");
  EXPECT_EQ(token_axis("Tokens", 500, 5).title, "Tokens");
  EXPECT_EQ(token_axis("Tokens", 4e6, 5).ticks.back().label, "4");
  EXPECT_EQ(token_axis("Tokens", NAN, 5).range.high, 1);
}

TEST(Plot, AFrameHoldsOnlyWhatIsOnItsScale) {
  const Frame frame({0, 0, 100, 50}, {"", Scale::logarithmic, {1, 100}, {}}, {"", Scale::linear, {0, 2}, {}});
  EXPECT_NEAR(frame.x(10), 50, 1e-9);
  EXPECT_NEAR(frame.y(2), 0, 1e-9);
  EXPECT_TRUE(frame.holds({1, 0}));
  EXPECT_FALSE(frame.holds({0, 1}));
  EXPECT_FALSE(frame.holds({10, NAN}));
  EXPECT_FALSE(frame.holds({10, 2.1}));
}

}  // namespace
}  // namespace lethe::report
