#include "optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/error.h"

namespace lethe {
namespace {

using Unit = Duration::Unit;

Duration steps(double count) {
  return {count, Unit::steps};
}

// The key that a ConfigError names, or "" if there is none.
std::string refused(const ScheduleOptions& options, int64_t total) {
  try {
    schedule_spec(options, {.steps = total});
  } catch (const ConfigError& error) {
    return error.key;
  }
  return "";
}

ScheduleOptions paper_trapezoid() {
  return {.name = "inverse_sqrt",
          .warmup = steps(1000),
          .scale = steps(1000),
          .cooldown = steps(5086),
          .alpha_f_decay = 1,
          .alpha_f_cooldown = 0};
}

TEST(Schedule, ThePapersTrapezoid) {
  // 20 B tokens at 786,432 a batch: 25,431 batches, the cooldown from batch 20,345 on.
  const ScheduleSpec s = schedule_spec(paper_trapezoid(), {.steps = 25431});
  EXPECT_EQ(multiplier(s, 0), 0.0);  // the first step changes nothing
  EXPECT_EQ(multiplier(s, 1), 0.001);
  EXPECT_EQ(multiplier(s, 500), 0.5);
  EXPECT_EQ(multiplier(s, 999), 0.999);
  EXPECT_EQ(multiplier(s, 1000), 1.0);
  EXPECT_EQ(multiplier(s, 12000), 1.0);
  EXPECT_EQ(multiplier(s, 20345), 1.0);
  EXPECT_NEAR(multiplier(s, 20346), 1 - 1 / 5086.0, 1e-15);
  EXPECT_NEAR(multiplier(s, 20345 + 2543), 0.5, 1e-15);
  EXPECT_NEAR(multiplier(s, 25430), 1 / 5086.0, 1e-15);  // the last step
  EXPECT_EQ(multiplier(s, 25431), 0.0);
  EXPECT_EQ(multiplier(s, 30000), 0.0);
}

TEST(Schedule, AShortRunOfThePapersEndsInsideItsWarmup) {
  // 0.25 B tokens are 318 batches: refused unless it is meant, and then 0.317 of the peak is the last
  // multiplier.
  ScheduleOptions options = paper_trapezoid();
  options.cooldown = steps(64);
  EXPECT_EQ(refused(options, 318), "schedule.warmup");
  options.may_exceed_run = true;
  const ScheduleSpec s = schedule_spec(options, {.steps = 318});
  EXPECT_EQ(multiplier(s, 317), 0.317);
}

TEST(Schedule, InverseSquareRootDecaysToItsLimit) {
  // t_w = 10, t_s = 30, f = 0.2: at t = 100, 0.2 + 0.8 / sqrt((90 + 30) / 30) = 0.6. Without a cooldown it
  // goes on.
  const ScheduleSpec s =
      schedule_spec({.name = "inverse_sqrt", .warmup = steps(10), .scale = steps(30), .alpha_f_decay = 0.2},
                    {.steps = 200});
  EXPECT_EQ(multiplier(s, 10), 1.0);
  EXPECT_NEAR(multiplier(s, 100), 0.6, 1e-15);
  EXPECT_NEAR(multiplier(s, 199), 0.2 + 0.8 / std::sqrt(219 / 30.0), 1e-15);
}

TEST(Schedule, TheCooldownStartsWhereTheDecayHasCome) {
  // At t_0 = 100 the decay is at 0.6; 100 steps from there to 0.1.
  const ScheduleSpec s = schedule_spec({.name = "inverse_sqrt",
                                        .warmup = steps(10),
                                        .scale = steps(30),
                                        .cooldown = steps(100),
                                        .alpha_f_decay = 0.2,
                                        .alpha_f_cooldown = 0.1},
                                       {.steps = 200});
  EXPECT_NEAR(multiplier(s, 99), 0.2 + 0.8 / std::sqrt(119 / 30.0), 1e-15);
  EXPECT_NEAR(multiplier(s, 100), 0.6, 1e-15);
  EXPECT_NEAR(multiplier(s, 150), 0.35, 1e-15);
  EXPECT_NEAR(multiplier(s, 200), 0.1, 1e-15);
}

TEST(Schedule, CosineAtItsEdges) {
  // The paper's fine-tuning: warm-up over the first tenth, down to 0.01 of the peak.
  const ScheduleSpec s =
      schedule_spec({.name = "cosine", .warmup = {0.1, Unit::run}, .alpha_f = 0.01}, {.steps = 386});
  EXPECT_EQ(s.warmup, 38);
  EXPECT_EQ(multiplier(s, 0), 0.0);
  EXPECT_EQ(multiplier(s, 38), 1.0);
  EXPECT_NEAR(multiplier(s, 38 + 174), 0.505, 1e-15);  // half way
  EXPECT_GT(multiplier(s, 385), 0.01);
  EXPECT_NEAR(multiplier(s, 386), 0.01, 1e-15);
  EXPECT_NEAR(multiplier(s, 1000), 0.01, 1e-15);
}

TEST(Schedule, LinearAndConstantAtTheirEdges) {
  const ScheduleSpec linear =
      schedule_spec({.name = "linear", .warmup = steps(10), .alpha_f = 0.2}, {.steps = 110});
  EXPECT_EQ(multiplier(linear, 0), 0.0);
  EXPECT_EQ(multiplier(linear, 10), 1.0);
  EXPECT_NEAR(multiplier(linear, 60), 0.6, 1e-15);
  EXPECT_NEAR(multiplier(linear, 110), 0.2, 1e-15);
  const ScheduleSpec constant = schedule_spec({.name = "constant"}, {.steps = 3});
  EXPECT_EQ(multiplier(constant, 0), 1.0);  // no warm-up: the first step counts
  EXPECT_EQ(multiplier(constant, 2), 1.0);
}

TEST(Schedule, AWarmupAsLongAsTheRunIsAllowed) {
  const ScheduleSpec s = schedule_spec({.name = "cosine", .warmup = steps(4)}, {.steps = 4});
  EXPECT_EQ(multiplier(s, 3), 0.75);
  EXPECT_EQ(multiplier(s, 4), 0.0);
}

TEST(Schedule, WarmupInTokensAndEpochs) {
  const RunLength run{.steps = 100, .steps_per_epoch = 40, .tokens_per_step = 512};
  EXPECT_EQ(schedule_spec({.warmup = {5120, Unit::tokens}}, run).warmup, 10);
  EXPECT_EQ(schedule_spec({.warmup = {0.25, Unit::epochs}}, run).warmup, 10);
}

TEST(Schedule, NamesTheOptionItRefuses) {
  EXPECT_EQ(refused({.name = "cosin"}, 10), "schedule.name");
  EXPECT_EQ(refused({.warmup = steps(11)}, 10), "schedule.warmup");
  EXPECT_EQ(refused({.alpha_f = 1.5}, 10), "schedule.alpha_f");
  EXPECT_EQ(refused({.alpha_f = std::nan("")}, 10), "schedule.alpha_f");
  EXPECT_EQ(refused({.name = "cosine", .cooldown = steps(3)}, 10), "schedule.cooldown");
  EXPECT_EQ(refused({.name = "inverse_sqrt", .warmup = steps(6), .cooldown = steps(5)}, 10),
            "schedule.cooldown");
  EXPECT_EQ(refused({.name = "inverse_sqrt", .warmup = steps(1), .alpha_f_cooldown = 0.5}, 10),
            "schedule.alpha_f_cooldown");
  EXPECT_EQ(refused({.name = "inverse_sqrt"}, 10), "schedule.scale");
  EXPECT_EQ(refused({}, 0), "train.duration");
}

}  // namespace
}  // namespace lethe
