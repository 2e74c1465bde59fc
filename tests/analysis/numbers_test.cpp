// The analyses' numbers against values worked out by hand from the sample's formulas (grid_sample.h).
#include <gtest/gtest.h>

#include <cmath>

#include "tests/analysis/grid_sample.h"
#include "tools/analysis/analysis.h"
#include "tools/analysis/changes.h"
#include "tools/analysis/claims.h"
#include "tools/analysis/front.h"
#include "tools/analysis/rates.h"

namespace lethe::analysis {
namespace {

// Sums of a few terms of size 1.
constexpr double kRounding = 1e-12;

TEST(Estimates, AMeanHasBothIntervals) {
  const Estimate e = estimate_of({{0, 1.0, 0.1}, {1, 2.0, 0.3}, {2, 3.0, 0.2}});
  EXPECT_DOUBLE_EQ(e.value, 2);
  EXPECT_EQ(e.seeds, 3);
  EXPECT_NEAR(e.over_seeds, 4.303 / std::sqrt(3.0), kRounding) << "a deviation of 1, two degrees of freedom";
  EXPECT_NEAR(e.held_out, 1.96 * 0.2, kRounding) << "the seeds share the text: the mean error, not less";
  EXPECT_EQ(e.half_width(), e.over_seeds);
  EXPECT_EQ(e.source(), "over 3 seeds");
  const Estimate one = estimate_of({{0, 1.0, 0.1}, {1, unknown, 0.1}});
  EXPECT_TRUE(std::isnan(one.over_seeds));
  EXPECT_NEAR(one.half_width(), 0.196, kRounding);
  EXPECT_EQ(one.source(), "over held-out text");
  EXPECT_FALSE(estimate_of({}).known());
}

TEST(Estimates, DifferencesAreOfTheSameSeeds) {
  const Estimate d = difference({{0, 5, 0.03}, {1, 7, 0.03}, {3, 100, 0.03}}, {{1, 4, 0.04}, {0, 3, 0.04}});
  EXPECT_EQ(d.seeds, 2);
  EXPECT_DOUBLE_EQ(d.value, 2.5);
  EXPECT_NEAR(d.over_seeds, 12.706 * std::sqrt(0.5) / std::sqrt(2.0), kRounding) << "differences 2 and 3";
  EXPECT_NEAR(d.held_out, 1.96 * 0.05, kRounding);
}

TEST(Estimates, VerdictsFollowTheInterval) {
  const auto verdict = [](double value, double half) {
    return verdict_of({.value = value, .held_out = half});
  };
  EXPECT_EQ(verdict(1, 0.5), Verdict::holds);
  EXPECT_EQ(verdict(-1, 0.5), Verdict::does_not_hold);
  EXPECT_EQ(verdict(1, 1.5), Verdict::not_decided);
  EXPECT_EQ(verdict(-1, 1.5), Verdict::not_decided);
  EXPECT_EQ(verdict(1, unknown), Verdict::not_decided);
  EXPECT_EQ(verdict_of({.value = 1, .over_seeds = 2, .held_out = 0.1}), Verdict::not_decided)
      << "the wider decides";
  EXPECT_EQ(all_of({}), Verdict::not_decided);
  EXPECT_EQ(all_of({Verdict::holds, Verdict::holds}), Verdict::holds);
  EXPECT_EQ(all_of({Verdict::holds, Verdict::not_decided}), Verdict::not_decided);
  EXPECT_EQ(all_of({Verdict::does_not_hold, Verdict::not_decided}), Verdict::does_not_hold);
}

TEST(Estimates, MediansHaveOrderStatistics) {
  // P(Binomial(10, 1/2) < 2) = 11 / 1024 = 0.011 and P(< 3) = 56 / 1024 = 0.055: the second and the ninth.
  const Median m = median_of({10, 1, 9, 2, 8, 3, 7, 4, 6, 5});
  EXPECT_DOUBLE_EQ(m.value, 5.5);
  EXPECT_EQ(m.low, 2);
  EXPECT_EQ(m.high, 9);
  EXPECT_TRUE(std::isnan(median_of({1, 2, 3, 4, 5}).low)) << "(1/2)^5 is more than 0.025";
  EXPECT_EQ(median_of({1, 2, 3, 4, 5, 6}).low, 1);
}

TEST(Estimates, SpearmansRanks) {
  EXPECT_NEAR(spearman({1, 2, 3, 4}, {10, 100, 1000, 10000}), 1, kRounding);
  EXPECT_NEAR(spearman({1, 2, 3, 4}, {4, 3, 2, 1}), -1, kRounding);
  // Ranks 1, 2, 3 and 1.5, 1.5, 3: covariance 1.5, variances 2 and 1.5.
  EXPECT_NEAR(spearman({1, 2, 3}, {5, 5, 6}), 1.5 / std::sqrt(3.0), kRounding);
  EXPECT_TRUE(std::isnan(spearman({1, 2, 3}, {5, 5, 5})));
}

TEST(Front, KeepsWhatNoOtherBeats) {
  const auto front = pareto_front({{1, 0.5}, {2, 0.4}, {3, 1}, {2.5, 1}, {0, 0}, {3, 2}});
  ASSERT_EQ(front.size(), 3u);
  EXPECT_EQ(front[0].learned, 0);
  EXPECT_EQ(front[1].learned, 2);
  EXPECT_EQ(front[2].learned, 3);
  EXPECT_DOUBLE_EQ(price_at(front, 1).forgotten, 0.2);
  EXPECT_DOUBLE_EQ(price_at(front, 2.5).forgotten, 0.7);
  EXPECT_DOUBLE_EQ(price_at(front, 3).forgotten, 1);
  EXPECT_TRUE(std::isnan(price_at(front, 3.1).forgotten)) << "nothing is said beyond what was reached";
  // Half way between errors of 0.3 and 0.4, on a flat stretch.
  const Price flat = price_at({{0, 0, 0, 0.3}, {2, 0, 0, 0.4}}, 1);
  EXPECT_DOUBLE_EQ(flat.standard_error, 0.25);
}

class SampleGrid : public testing::Test {
 protected:
  void load(const GridSample& sample) {
    records_ = read_records(grid_file(sample));
    grid_ = std::make_unique<Grid>(records_);
  }
  const Panel& panel(const std::string& name) const {
    for (const Panel& p : grid_->panels())
      if (p.name() == name) return p;
    throw std::logic_error("no panel " + name);
  }
  Condition condition(const std::string& panel_name, const std::string& label) const {
    for (const Condition& c : grid_->main_conditions(panel(panel_name)))
      if (c.label == label) return c;
    throw std::logic_error("no condition " + label);
  }

  Records records_;
  std::unique_ptr<Grid> grid_;
};

TEST_F(SampleGrid, RunsAreComparedAtTheRateMostSeedsHave) {
  load({});
  ASSERT_EQ(grid_->panels().size(), 2u);
  const Panel& cpt = panel("CPT python");
  EXPECT_EQ(cpt.learning.front().key(), "python loss");
  ASSERT_EQ(cpt.forgetting.size(), 2u);
  EXPECT_EQ(cpt.forgetting[1].key(), "benchmarks");
  std::vector<std::string> labels;
  for (const Condition& c : grid_->main_conditions(cpt)) labels.push_back(c.label);
  EXPECT_EQ(labels, (std::vector<std::string>{"full", "LoRA r4", "LoRA r16"}))
      << "no other setting is among them";
  const std::vector<Cell> cells = grid_->cells(cpt, condition("CPT python", "full"));
  ASSERT_EQ(cells.size(), 3u);
  EXPECT_EQ(cells[2].duration, 8e6);
  EXPECT_EQ(cells[2].learning_rate, 1e-3);
  EXPECT_EQ(cells[2].runs.size(), 3u);
  // log2 9 = 3.1699; noises cancel over the seeds -1, 0, 1.
  const Estimate learned = estimate_of(grid_->gains(cells[2], cpt.learning.front()));
  EXPECT_NEAR(learned.value, 0.4 * std::log2(9), kRounding);
  EXPECT_NEAR(learned.over_seeds, 4.303 * 0.01 / std::sqrt(3.0), kRounding);
  // The mean of 0.4 - 0.1 f and 0.5 - 0.3 f lies 0.2 f below the base's; f = G^2 / 2 seed by seed.
  const double g = 0.4 * std::log2(9), f = (g * g + 2.0 / 3 * 1e-4) / 2;
  const Estimate lost = estimate_of(grid_->gains(cells[2], cpt.forgetting[1]));
  EXPECT_NEAR(lost.value, 0.2 * f, kRounding);
  EXPECT_NEAR(lost.held_out, 1.96 * 0.01 / std::sqrt(2.0), kRounding) << "two benchmarks";
}

TEST_F(SampleGrid, ForgettingIsComparedAtEqualLearning) {
  load({.seeds = 2, .rates = false});
  const EqualLearning equal = at_equal_learning(*grid_, panel("CPT python"), condition("CPT python", "full"),
                                                condition("CPT python", "LoRA r16"));
  double learned = 0, full = 0, lora = 0;
  for (const int64_t seed : {0, 1}) {
    const MethodRule a = rule_of(0, false), b = rule_of(16, false);
    const double reached = learned_by(b, 8, b.best, seed);
    const double low = learned_by(a, 3, a.best, seed), high = learned_by(a, 8, a.best, seed);
    const double at_low = 0.5 * low * low, at_high = 0.5 * high * high;
    learned += reached / 2;
    full += (at_low + (reached - low) / (high - low) * (at_high - at_low)) / 2;
    lora += 0.3 * reached * reached / 2;
  }
  EXPECT_NEAR(equal.learned, learned, kRounding);
  EXPECT_NEAR(equal.first.value, full, kRounding);
  EXPECT_NEAR(equal.second.value, lora, kRounding);
  EXPECT_NEAR(equal.saved.value, full - lora, kRounding);
  EXPECT_EQ(equal.saved.seeds, 2);
  // Less learned is compared on the stretch before: half of it lies between 1M and 3M tokens.
  const EqualLearning half = at_equal_learning(*grid_, panel("CPT python"), condition("CPT python", "full"),
                                               condition("CPT python", "LoRA r16"), 0.5);
  EXPECT_NEAR(half.learned, learned / 2, kRounding);
}

TEST_F(SampleGrid, BestRatesAreVerticesOfParabolas) {
  load({});
  const auto sweeps = rate_sweeps(*grid_, panel("CPT python"));
  ASSERT_EQ(sweeps.size(), 3u);
  ASSERT_EQ(sweeps[0].cells.size(), 5u);
  EXPECT_FALSE(sweeps[0].learned[4].known()) << "it diverged";
  const auto full = best_rate(sweeps[0]), lora = best_rate(sweeps[2]);
  ASSERT_TRUE(full && lora);
  // Learned falls by 0.1 (log10 x - best)^2; the best was run with all seeds, whose noise has mean 0, the
  // rest with seed 0: 0.010 less for full. The parabola is symmetric all the same.
  EXPECT_NEAR(full->exponent, -3, kRounding);
  EXPECT_NEAR(full->half_width, 0.25, kRounding);
  const Estimate ratio = rate_ratio(*lora, *full);
  EXPECT_NEAR(ratio.value, 1, kRounding);
  EXPECT_NEAR(ratio.half_width(), 0.5, kRounding);
}

RateSweep sweep_with(const std::vector<double>& exponents, const std::vector<double>& learned) {
  RateSweep sweep;
  for (size_t i = 0; i < exponents.size(); ++i) {
    sweep.cells.push_back({.duration = 1, .learning_rate = std::pow(10, exponents[i])});
    sweep.learned.push_back({.value = learned[i], .seeds = 1});
  }
  return sweep;
}

TEST(Rates, AnUnevenGridAndItsEdges) {
  // 2 - (x + 2.9)^2 at -4, -3, -2.5, nowhere below 0: the vertex is found whatever the distances.
  const auto at = [](double x) { return 2 - (x + 2.9) * (x + 2.9); };
  const auto inner = best_rate(sweep_with({-4, -3, -2.5}, {at(-4), at(-3), at(-2.5)}));
  EXPECT_NEAR(inner->exponent, -2.9, 1e-9) << "rounding of log10(10^x) over differences of 0.01";
  EXPECT_NEAR(inner->half_width, 0.5, 1e-9);
  EXPECT_TRUE(std::isnan(best_rate(sweep_with({-4, -3, -2}, {1, 2, 3}))->half_width));
  EXPECT_TRUE(std::isnan(best_rate(sweep_with({-4, -3, -2}, {1, 2, unknown}))->half_width));
  // 0.1 at -2 ended better than its base; -3 collapsed and tells nothing of where the best lies.
  EXPECT_FALSE(std::isnan(best_rate(sweep_with({-4, -3, -2}, {1, 2, 0.1}))->half_width));
  const auto beside_collapse = best_rate(sweep_with({-4, -3, -2}, {1, 2, -3}));
  EXPECT_NEAR(beside_collapse->exponent, -3, 1e-9);
  EXPECT_TRUE(std::isnan(beside_collapse->half_width));
  EXPECT_FALSE(best_rate(sweep_with({-4, -3}, {unknown, unknown})));
}

TEST_F(SampleGrid, ClaimsHaveTheirNumbers) {
  load({});
  const Claim less = learns_less(*grid_);
  ASSERT_EQ(less.comparisons.size(), 2u);
  EXPECT_NEAR(less.comparisons[0].value.value, 0.2 * std::log2(9), kRounding) << "full less r4";
  EXPECT_NEAR(less.comparisons[1].value.value, 0.1 * std::log2(9), kRounding);
  EXPECT_NEAR(less.comparisons[1].value.over_seeds, 4.303 * 0.004 / std::sqrt(3.0), kRounding);
  EXPECT_NEAR(less.comparisons[1].value.held_out, 1.96 * 0.01 * std::sqrt(2.0), kRounding);
  EXPECT_EQ(less.verdict(), Verdict::holds);
  EXPECT_EQ(rank_orders_both(*grid_).comparisons.size(), 4u);
  const Claim rank = full_change_has_high_rank(*grid_);
  ASSERT_EQ(rank.comparisons.size(), 2u);
  // 60 + layer over layers 0 to 3, in every module and seed: 61.5.
  EXPECT_NEAR(rank.comparisons[0].value.value, 61.5 / 4, kRounding);
  EXPECT_EQ(rank.comparisons[0].verdict, Verdict::holds);
  EXPECT_EQ(rank.comparisons[1].verdict, Verdict::does_not_hold);
  EXPECT_FALSE(rank.comparisons[1].decides);
  const Claim gap = instruction_tuning_closes_the_gap(*grid_);
  ASSERT_EQ(gap.comparisons.size(), 3u);
  EXPECT_NEAR(gap.comparisons[0].value.value, 25, 1e-10) << "0.3 of 0.4, in per cent";
  EXPECT_NEAR(gap.comparisons[1].value.value, 0, 1e-10);
  EXPECT_NEAR(gap.comparisons[2].value.value, 25, 1e-10);
  EXPECT_EQ(best_rate_is_ten_times(*grid_).verdict(), Verdict::holds);
}

TEST_F(SampleGrid, ClaimsWithoutLinesAreNotDecided) {
  load({.pretraining = false, .rates = false, .settings = false, .widths = false, .spectra = false});
  EXPECT_TRUE(learns_less(*grid_).comparisons.empty());
  EXPECT_EQ(learns_less(*grid_).verdict(), Verdict::not_decided);
  EXPECT_EQ(full_change_has_high_rank(*grid_).verdict(), Verdict::not_decided);
  // Full and LoRA r16 learn alike in instruction tuning: the gap alone decides, there is no other to compare.
  EXPECT_EQ(instruction_tuning_closes_the_gap(*grid_).verdict(), Verdict::holds);
}

std::vector<std::string> row_with(const Table& table, size_t column, const std::string& text) {
  for (const auto& row : table.rows)
    if (row[column] == text) return row;
  return {};
}

TEST_F(SampleGrid, OneSettingsEffectIsItsDifference) {
  load({});
  const auto check = [](const Analysis& analysis, const char* label, const char* against, double learned,
                        double forgotten) {
    const std::vector<std::string> row = row_with(analysis.table, 2, label);
    ASSERT_FALSE(row.empty()) << label;
    EXPECT_EQ(row[3], against);
    EXPECT_NEAR(std::stod(row[15]), learned, 1e-6) << label << ": six digits are written";
    EXPECT_NEAR(std::stod(row[19]), forgotten, 1e-6) << label;
  };
  check(regularisation_analysis(*grid_), "full, weight decay 0.1", "full", -0.05, -0.02);
  check(regularisation_analysis(*grid_), "full, attention dropout 0.1", "full", -0.01, -0.01);
  check(modules_analysis(*grid_), "LoRA r16, attention", "LoRA r16", -0.2, -0.05);
  check(alpha_analysis(*grid_), "LoRA r16, alpha/r 0.5", "LoRA r16", -0.1, -0.04);
  check(variants_analysis(*grid_), "DoRA r16", "LoRA r16", 0.02, 0.01);
  check(mitigation_analysis(*grid_), "full, replay 0.1", "full", -0.02, -0.4);
  check(mitigation_analysis(*grid_), "full, scale 0.5", "full", -0.3, -0.5);
  check(base_analysis(*grid_), "full, base tokens 4e+08", "full", -0.1, 0.2);
}

TEST_F(SampleGrid, SpectraSamplesSizesAndCosts) {
  load({});
  const auto layer = layer_rank_analysis(*grid_);
  EXPECT_EQ(layer.table.rows.size(), 3u * 3 * 4) << "times, modules, layers of one seed";
  EXPECT_NE(layer.words.find("q_proj 62 of 256"), std::string::npos) << layer.words;
  const auto ranks = change_rank_analysis(*grid_);
  EXPECT_NE(ranks.words.find("full 62 (62 to 62), stable 30.8"), std::string::npos) << ranks.words;
  const auto intruders = row_with(intruder_analysis(*grid_).table, 2, "LoRA r16");
  ASSERT_FALSE(intruders.empty());
  EXPECT_EQ(intruders[3], "3") << "5 - 16 / 8 in every matrix";
  const auto diversity = diversity_analysis(*grid_);
  // Seeds 0.20, 0.21, 0.22, at k = 16 twice that: mean 0.42, deviation 0.02.
  EXPECT_NE(diversity.words.find("full pass@1 21.0 (18.5 to 23.5)%"), std::string::npos) << diversity.words;
  EXPECT_NE(diversity.words.find("base pass@1 5.0%, pass@16 10.0%, 90.0%"), std::string::npos);
  const auto size = size_analysis(*grid_);
  EXPECT_NE(size.words.find("width 512: LoRA r16 learned 0.317"), std::string::npos) << size.words;
  const auto cost = row_with(cost_analysis(*grid_).table, 3, "LoRA r16");
  ASSERT_FALSE(cost.empty());
  EXPECT_EQ(cost[5], "850");
  EXPECT_EQ(cost[9], "1.2e+09");
}

TEST(Tables, CellsAreQuotedWhereTheyMust) {
  EXPECT_EQ(csv_of({{"a", "b"}, {{"x,y", "say \"so\""}, {"", "1"}}}),
            "a,b\n\"x,y\",\"say \"\"so\"\"\"\n,1\n");
  EXPECT_EQ(cell(unknown), "");
  EXPECT_EQ(cell(8e6), "8e+06");
}

}  // namespace
}  // namespace lethe::analysis
