// What counts as learned and forgotten, when there is time to measure, and what follows.
#include "tools/run/examination.h"

#include <gtest/gtest.h>

#include "engine/error.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

std::vector<Measure> measures(double own, double prose, double hellaswag, double piqa) {
  return {{.name = "loss of held_out", .value = own, .lower_is_better = true},
          {.name = "loss of prose", .value = prose, .lower_is_better = true},
          {.name = "hellaswag", .value = hellaswag},
          {.name = "piqa", .value = piqa}};
}

TEST(Examinations, CountWhatBecameBetterAndWorseSinceTheBase) {
  Examinations scores({.learning = {"loss of held_out"}, .forgetting = {"hellaswag", "piqa"}});
  EXPECT_FALSE(scores.begun());
  const Examination base = scores.take(0, 0, 1, measures(3, 4, 0.5, 0.7));
  EXPECT_TRUE(scores.begun());
  EXPECT_EQ(*base.learned, 0);
  EXPECT_EQ(*base.forgotten, 0);
  const Examination later = scores.take(10, 100, 1, measures(2.25, 4.5, 0.25, 0.825));
  EXPECT_DOUBLE_EQ(*later.learned, 0.75);
  EXPECT_NEAR(*later.forgotten, (0.25 - 0.125) / 2, 1e-15);
  Examinations losses({.forgetting = {"loss of prose"}});
  losses.take(0, 0, 1, measures(3, 4, 0.5, 0.7));
  const Examination worse = losses.take(10, 100, 1, measures(2, 4.5, 0.5, 0.7));
  EXPECT_FALSE(worse.learned);
  EXPECT_DOUBLE_EQ(*worse.forgotten, 0.5);
  EXPECT_FALSE(worse.best) << "nothing says what is learned";
}

TEST(Examinations, StopAndKeepTheBestThatDidNotForgetTooMuch) {
  Examinations e(
      {.learning = {"loss of held_out"}, .forgetting = {"loss of prose"}, .stop_when_forgotten = 0.5});
  e.take(0, 0, 1, measures(3, 4, 0, 0));
  const Examination first = e.take(1, 0, 1, measures(2.5, 4.5, 0, 0));
  EXPECT_TRUE(first.best);
  EXPECT_FALSE(first.stops) << "the limit itself is not beyond it";
  EXPECT_FALSE(e.take(2, 0, 1, measures(2.6, 4.2, 0, 0)).best);
  const Examination last = e.take(3, 0, 1, measures(2, 4.6, 0, 0));
  EXPECT_TRUE(last.stops);
  EXPECT_FALSE(last.best);
}

TEST(Examinations, LeaveRoomForTheLastOne) {
  Examinations e({.learning = {"piqa"}, .max_share_of_time = 0.2});
  e.take(0, 0, 10, measures(3, 4, 0, 0));
  // 10 seconds spent, 10 now and 10 at the end: 30 of 120 + 30 in all are the 20%.
  EXPECT_TRUE(e.affordable(20, 100));
  EXPECT_FALSE(e.affordable(20, 99));
  Examinations any({.learning = {"piqa"}});
  any.take(0, 0, 1000, measures(3, 4, 0, 0));
  EXPECT_TRUE(any.affordable(1, 1));
}

TEST(Examinations, GoOnFromWhatACheckpointKept) {
  const ExaminationRules rules{.learning = {"piqa"}, .max_share_of_time = 0.2};
  Examinations e(rules), resumed(rules);
  e.take(0, 0, 10, measures(3, 4, 0.5, 0.25));
  e.take(5, 0, 12, measures(3, 4, 0.5, 0.75));
  resumed.restore(nlohmann::json::parse(e.state().dump()));
  EXPECT_TRUE(resumed.begun());
  EXPECT_EQ(resumed.seconds(), 22);
  EXPECT_EQ(resumed.state(), e.state());
  const Examination next = resumed.take(10, 0, 1, measures(3, 4, 0.5, 0.5));
  EXPECT_DOUBLE_EQ(*next.learned, 0.25);
  EXPECT_FALSE(next.best);
}

TEST(Examinations, RefuseNamesThatAreNotMeasuredAndUnitsThatDoNotAddUp) {
  Examinations unknown({.learning = {"hellaswig"}});
  EXPECT_EQ(message_of<ConfigError>([&] { unknown.take(0, 0, 1, measures(3, 4, 0, 0)); }),
            "eval.learning: hellaswig is not measured; these are: loss of held_out, loss of prose, "
            "hellaswag, piqa");
  Examinations mixed({.forgetting = {"loss of prose", "piqa"}});
  EXPECT_EQ(message_of<ConfigError>([&] { mixed.take(0, 0, 1, measures(3, 4, 0, 0)); }),
            "eval.forgetting: loss of prose and piqa do not add up: one is in nats, the other a score");
}

}  // namespace
}  // namespace lethe::test
