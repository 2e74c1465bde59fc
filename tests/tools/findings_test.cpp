#include "tools/report/findings.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/tools/results_sample.h"
#include "tools/report/numbers.h"

namespace lethe::report {
namespace {

struct Told {
  Results results;
  std::vector<Outcome> outcomes;
  Findings findings;
  std::string all;
};

Told told(const Sample& sample) {
  Told told;
  told.results = read_results(sample_file(sample));
  told.outcomes = outcomes_of(told.results);
  told.findings = findings_of(told.results, told.outcomes);
  told.all = told.findings.headline + "\n";
  for (const std::string& sentence : told.findings.sentences) told.all += sentence + "\n";
  return told;
}

bool says(const Told& told, const std::string& words) {
  return told.all.find(words) != std::string::npos;
}

TEST(Findings, AgreeWhenEveryLoraRunLearnsAndForgetsLess) {
  const Told t = told(usual_sample());
  EXPECT_EQ(t.findings.verdict, "agrees");
  EXPECT_EQ(t.findings.headline,
            "Full fine-tuning learned most (−1.82 nats per token) and forgot most (+0.61). This "
            "agrees with “LoRA learns less and forgets less”");
  // The sample's base stands at 3.877 on the target and 3.412 on the source.
  EXPECT_TRUE(
      says(t, "on Python code fell from 3.877 to 2.057 nats per token (−1.820); LoRA r4 least (−1.210)"))
      << t.all;
  EXPECT_TRUE(
      says(t, "on English prose rose from 3.412 to 4.022 nats per token (+0.610); LoRA r4 least (+0.220)"))
      << t.all;
  EXPECT_TRUE(says(t, "Learning is ordered by rank"));
  EXPECT_TRUE(says(t, "Forgetting is ordered by rank"));
  // 0.61 nats over sqrt(2) * 0.01.
  EXPECT_TRUE(says(t, "Against full fine-tuning, LoRA r4 learned 0.610 nats less (43.1 standard errors)"))
      << t.all;
  EXPECT_TRUE(says(t, "score 6.410 nats on English prose (the base: 3.412, below it)")) << t.all;
}

TEST(Findings, ContradictWhenLoraForgetsMore) {
  Sample sample = usual_sample();
  for (SampleRun& run : sample.runs) {
    if (run.rank > 0) run.forgot = 0.9;
  }
  const Told t = told(sample);
  EXPECT_EQ(t.findings.verdict, "contradicts");
  EXPECT_EQ(learns_less(t.outcomes), Claim::holds);
  EXPECT_EQ(forgets_less(t.outcomes), Claim::fails);
  EXPECT_TRUE(says(t, "This contradicts “LoRA learns less")) << t.all;
  EXPECT_TRUE(says(t, "forgot 0.290 nats more"));
}

TEST(Findings, ContradictWhenLoraLearnsMore) {
  Sample sample = usual_sample();
  for (SampleRun& run : sample.runs) {
    if (run.rank > 0) run.learned = 2.5 - 0.001 * static_cast<double>(run.rank);
  }
  const Told t = told(sample);
  EXPECT_EQ(t.findings.verdict, "contradicts");
  EXPECT_TRUE(t.findings.headline.starts_with(
      "LoRA r4 learned most (−2.50 nats per token), full fine-tuning forgot most"))
      << t.findings.headline;
  EXPECT_TRUE(says(t, "Learning is not ordered by rank: LoRA r16 learned no more than LoRA r4")) << t.all;
}

TEST(Findings, AreUndecidedWithinTwiceTheStandardError) {
  Sample sample = usual_sample();
  sample.standard_error = 2;
  const Told t = told(sample);
  EXPECT_EQ(t.findings.verdict, "can neither confirm nor deny");
  EXPECT_TRUE(says(t, "learned as much within error (−0.610, 0.2 standard errors)")) << t.all;
  EXPECT_FALSE(says(t, "each step by more than twice"));
}

TEST(Findings, AgreeInPartWhenOneRankMatchesFullFineTuning) {
  Sample sample = usual_sample();
  sample.runs[3].learned = sample.runs[0].learned;
  const Told t = told(sample);
  EXPECT_EQ(t.findings.verdict, "agrees in part");
  EXPECT_EQ(learns_less(t.outcomes), Claim::holds_in_part);
}

TEST(Findings, AreDividedWhenRanksFallToBothSides) {
  Sample sample = usual_sample();
  sample.runs[3].learned = sample.runs[0].learned + 1;
  EXPECT_EQ(learns_less(told(sample).outcomes), Claim::divided);
}

TEST(Findings, NameADivergedRunAndLeaveItOut) {
  Sample sample = usual_sample();
  sample.runs[0].nan_from = 5;
  const Told t = told(sample);
  EXPECT_TRUE(t.outcomes[0].diverged);
  EXPECT_TRUE(says(t, "Full fine-tuning diverged and is left out")) << t.all;
  EXPECT_TRUE(t.findings.headline.starts_with("LoRA r64 learned most")) << t.findings.headline;
  EXPECT_EQ(t.findings.verdict, "can neither confirm nor deny");
  EXPECT_EQ(t.all.find("nan"), std::string::npos);
}

TEST(Findings, SayWhenNothingWasLearnedOrForgotten) {
  Sample sample = usual_sample();
  for (SampleRun& run : sample.runs) run.learned = run.forgot = -0.1;
  const Told t = told(sample);
  EXPECT_TRUE(says(t, "No run learned: the held-out loss on Python code fell in none of them")) << t.all;
  EXPECT_TRUE(
      says(t, "No run forgot: the held-out loss on English prose rose in none of them (−0.100 at most)"))
      << t.all;
  EXPECT_TRUE(t.findings.headline.starts_with("No run learned and none forgot"));
}

TEST(Findings, StandWithASingleRunOrNone) {
  Sample sample = usual_sample();
  sample.runs.resize(1);
  EXPECT_EQ(told(sample).findings.headline,
            "Full fine-tuning changed the target loss by −1.82 and the source loss by +0.61 nats per token");
  sample.runs.clear();
  EXPECT_TRUE(told(sample).findings.headline.starts_with("No run finished"));
}

TEST(Outcome, BeforeIsTheRunsOwnFirstScoreOrElseTheBases) {
  Results results;
  results.runs = {{.name = "full", .label = "Full"}};
  const auto point = [](const char* run, int64_t step, bool on_target, double loss) {
    return Point{.run = run, .step = step, .on_target = on_target, .loss = loss, .standard_error = 0.01};
  };
  results.points = {point("full", 10, true, 2), point("full", 10, false, 4)};
  EXPECT_FALSE(outcomes_of(results)[0].complete()) << "nothing to compare with";
  results.points.insert(results.points.end(),
                        {point("base", 0, true, 9), point("base", 7, true, 3), point("base", 7, false, 3.5)});
  EXPECT_DOUBLE_EQ(outcomes_of(results)[0].learned(), 1);
  EXPECT_DOUBLE_EQ(outcomes_of(results)[0].forgot(), 0.5);
  results.points.insert(results.points.end(), {point("full", 0, true, 6), point("full", 0, false, 3)});
  EXPECT_DOUBLE_EQ(outcomes_of(results)[0].learned(), 4);
  EXPECT_DOUBLE_EQ(outcomes_of(results)[0].forgot(), 1);
}

TEST(Outcome, ForgettingAtAnAmountLearnedIsInterpolated) {
  Results results;
  for (const auto& [step, target, source] : {std::tuple{0, 4.0, 3.0}, {1, 3.0, 3.2}, {2, 2.0, 3.6}}) {
    results.points.push_back({.run = "full", .step = step, .on_target = true, .loss = target});
    results.points.push_back({.run = "full", .step = step, .on_target = false, .loss = source});
  }
  EXPECT_NEAR(forgot_when_learned(results, "full", 1.5), 0.4, 1e-12);
  EXPECT_NEAR(forgot_when_learned(results, "full", 2.0), 0.6, 1e-12);
  EXPECT_TRUE(std::isnan(forgot_when_learned(results, "full", 2.1)));
}

TEST(Outcome, MedianTakesTheMiddle) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_TRUE(std::isnan(median({})));
}

}  // namespace
}  // namespace lethe::report
