#include "optim/duration.h"

#include <gtest/gtest.h>

#include "engine/error.h"

namespace lethe {
namespace {

Duration parsed(const std::string& text) {
  Duration d;
  EXPECT_TRUE(parse_duration(text, d)) << text;
  return d;
}

TEST(Duration, ReadsWordsAndComposersSuffixes) {
  using Unit = Duration::Unit;
  EXPECT_EQ(parsed("1000 steps"), (Duration{1000, Unit::steps}));
  EXPECT_EQ(parsed("1 step"), (Duration{1, Unit::steps}));
  EXPECT_EQ(parsed("1000ba"), (Duration{1000, Unit::steps}));
  EXPECT_EQ(parsed("2ep"), (Duration{2, Unit::epochs}));
  EXPECT_EQ(parsed("0.5 epochs"), (Duration{0.5, Unit::epochs}));
  EXPECT_EQ(parsed("5e6tok"), (Duration{5e6, Unit::tokens}));
  EXPECT_EQ(parsed("20000000000 tokens"), (Duration{2e10, Unit::tokens}));
  EXPECT_EQ(parsed("0.1dur"), (Duration{0.1, Unit::run}));
  EXPECT_EQ(parsed("0.1 run"), (Duration{0.1, Unit::run}));
}

TEST(Duration, WritesWhatItReads) {
  for (const char* text : {"1000 steps", "2.5 epochs", "0.1 run", "3000000 tokens"}) {
    EXPECT_EQ(parsed(text_of(parsed(text))), parsed(text));
  }
}

TEST(Duration, RefusesWhatIsNone) {
  for (const char* text : {"", "steps", "5", "-1 steps", "nan steps", "inf ba", "1.5 steps", "0.5tok",
                           "1e400 ba", "3 fortnights", "3 steps more", " 3 steps"}) {
    Duration d;
    EXPECT_FALSE(parse_duration(text, d)) << text;
  }
}

TEST(Duration, BecomesSteps) {
  const RunLength run{.steps = 25431, .steps_per_epoch = 193, .tokens_per_step = 786432};
  EXPECT_EQ(steps_of(parsed("1000ba"), run, "k"), 1000);
  EXPECT_EQ(steps_of(parsed("2ep"), run, "k"), 386);
  EXPECT_EQ(steps_of(parsed("0.1dur"), run, "k"), 2543);           // rounded down
  EXPECT_EQ(steps_of(parsed("20000000000tok"), run, "k"), 25432);  // 25431.3: the step that completes them
  EXPECT_EQ(steps_of(parsed("0.3ep"), {.steps_per_epoch = 10}, "k"), 3);
  EXPECT_EQ(steps_of(parsed("0.3dur"), {.steps = 10}, "k"), 3);
}

TEST(Duration, NamesTheKeyWhenItsUnitIsNotKnown) {
  for (const char* text : {"1ep", "1000tok", "0.5dur"}) {
    try {
      steps_of(parsed(text), {}, "schedule.warmup");
      FAIL() << text;
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.key, "schedule.warmup");
    }
  }
}

}  // namespace
}  // namespace lethe
