// What is advised, against the sources' own numbers.
#include "tools/advise/advise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/error.h"

namespace lethe::advise {
namespace {

// Llama-2-7B: 2,498,560 adapter parameters a rank (section 2 of the paper: 639,631,360 at rank 256).
Request llama_2_7b(Kind kind, double tokens, double memory = 0) {
  return {.kind = kind,
          .tokens = tokens,
          .memory_bytes = memory,
          .model = {.parameters = 6.738e9,
                    .adapter_parameters_per_rank = 2'498'560,
                    .hidden_size = 4096,
                    .smallest_side = 4096}};
}

std::string value_of(const Advice& advice, const std::string& key) {
  for (const Line& line : advice.lines)
    if (line.key == key) return line.value;
  return "";
}

TEST(Advise, InstructionsGetTheHighestRankOnAllModules) {
  const Advice a = advise(llama_2_7b(Kind::instructions, 73e6));
  EXPECT_FALSE(a.full);
  EXPECT_EQ(a.rank, 256);
  EXPECT_EQ(value_of(a, "lora.alpha"), "512");
  EXPECT_EQ(value_of(a, "lora.target_modules"), "all");
  EXPECT_EQ(a.epochs, 4) << "table S5: r256 peaks there";
  EXPECT_TRUE(a.warnings.empty());
  EXPECT_NEAR(a.learning_rate, 5e-4 * std::pow(2000.0 / 4096, 0.781), 1e-9);
  EXPECT_DOUBLE_EQ(a.sweep.front(), 1e-5);
  EXPECT_DOUBLE_EQ(a.sweep.back(), 5e-4);
  for (const Line& line : a.lines) {
    EXPECT_FALSE(line.reason.empty()) << line.key;
    EXPECT_FALSE(line.source.empty()) << line.key;
  }
  // .498 and .631 after 4 epochs; full .470 and .512; the base .138 and .671.
  EXPECT_NEAR(a.expected.learned, 36.0, 1e-9);
  EXPECT_NEAR(a.expected.forgotten, 4.0, 1e-9);
  EXPECT_NEAR(a.expected.full_learned, 33.2, 1e-9);
  EXPECT_NEAR(a.expected.full_forgotten, 15.9, 1e-9);
  EXPECT_EQ(a.expected.tables, "S5, S6");
}

TEST(Advise, PretrainingIsFullWhereItFits) {
  const Advice a = advise(llama_2_7b(Kind::pretraining, 20e9, 110e9));
  EXPECT_TRUE(a.full) << "16 * 6.738e9 = 107.8 GB";
  EXPECT_DOUBLE_EQ(a.state_bytes, 16 * 6.738e9);
  EXPECT_EQ(value_of(a, "lora.rank"), "");
  EXPECT_NEAR(a.learning_rate, 5e-5 * std::pow(2000.0 / 4096, 0.781), 1e-10);
  EXPECT_NEAR(a.expected.learned, 12.5, 1e-9);
  const Advice small = advise(llama_2_7b(Kind::pretraining, 20e9, 100e9));
  EXPECT_FALSE(small.full);
  EXPECT_EQ(small.rank, 256);
  // 20e9 / 2 / 2498560 = 4002.3: more than the adapter holds.
  ASSERT_EQ(small.warnings.size(), 2u);
  EXPECT_NE(small.warnings[1].find("4003"), std::string::npos) << small.warnings[1];
}

TEST(Advise, TheMemoryBoundsTheRank) {
  // 2 * 6.738e9 + 16 * 64 * 2498560 = 16.03e9; rank 128 needs 18.6e9.
  EXPECT_EQ(advise(llama_2_7b(Kind::instructions, 1e6, 16.1e9)).rank, 64);
  EXPECT_EQ(advise(llama_2_7b(Kind::instructions, 1e6, 16.0e9)).rank, 32);
  EXPECT_THROW(advise(llama_2_7b(Kind::instructions, 1e6, 13e9)), RequestError);
}

TEST(Advise, NoRankIsAboveTheSmallestSide) {
  Request r = llama_2_7b(Kind::instructions, 1e6);
  r.model.smallest_side = 48;
  EXPECT_EQ(advise(r).rank, 32);
  EXPECT_EQ(advise(r).expected_rank, 16);
}

TEST(Advise, BetweenTheTablesDurationsIsTheLogarithmsMiddle) {
  // Between 8B (.208) and 16B (.211) of table S1, r256.
  const Measured m = measured_in_paper(Kind::pretraining, Domain::code, 256, 8 * std::sqrt(2.0));
  EXPECT_NEAR(m.learned, 100 * (.2095 - .138), 1e-9);
  EXPECT_FALSE(m.clamped);
  const Measured far = measured_in_paper(Kind::pretraining, Domain::math, 16, 100);
  EXPECT_TRUE(far.clamped);
  EXPECT_NEAR(far.learned, 100 * (.158 - .145), 1e-9);
  EXPECT_NEAR(far.forgotten, 100 * (.671 - .637), 1e-9);
  EXPECT_THROW(measured_in_paper(Kind::pretraining, Domain::math, 8, 1), RequestError);
  EXPECT_THROW(measured_in_paper(Kind::pretraining, Domain::math, 16, 0), RequestError);
  EXPECT_EQ(best_epochs(Domain::math, 256), 8);
  EXPECT_EQ(best_epochs(Domain::code, 0), 8);
}

TEST(Advise, WrongRequestsAreRefused) {
  EXPECT_THROW(advise(llama_2_7b(Kind::instructions, 0)), RequestError);
  EXPECT_THROW(advise(llama_2_7b(Kind::instructions, NAN)), RequestError);
  EXPECT_THROW(advise(llama_2_7b(Kind::instructions, 1e6, -1)), RequestError);
}

TEST(Advise, TheTextHasEveryLine) {
  const Request r = llama_2_7b(Kind::instructions, 73e6);
  const Advice a = advise(r);
  const std::string text = text_of(r, a);
  for (const Line& line : a.lines) EXPECT_NE(text.find(line.key + "=" + line.value), std::string::npos);
  EXPECT_NE(text.find("HumanEval rose by 36.0 points"), std::string::npos) << text;
}

}  // namespace
}  // namespace lethe::advise
