// What all ranks do alike, and who is told when they do not.
#include "tools/run/ranks.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/comm/ranks.h"
#include "tests/files.h"
#include "tools/run/rank_devices.h"

namespace lethe::test {
namespace {

bool is_last() {
  return ranks().rank() == ranks().world() - 1;
}

// What together() ends with on this rank.
SharedFailure failure_of(const std::function<void()>& work) {
  try {
    together(ranks(), work);
  } catch (const SharedFailure& failure) {
    return failure;
  }
  return {0, ""};
}

TEST(Together, FailsOnAllRanksWithTheMessageAndStatusOfTheFirstThatFails) {
  if (ranks().world() == 1) {
    EXPECT_THROW(together(ranks(), [] { throw DataError("bad"); }), DataError);
    return;
  }
  const SharedFailure none = failure_of([] {});
  EXPECT_EQ(none.status, 0);
  const SharedFailure all = failure_of([] { throw DataError("bad text"); });
  EXPECT_EQ(all.status, 2);
  EXPECT_EQ(all.text, "bad text");
  const SharedFailure one = failure_of([] {
    if (is_last()) throw IoError("file", "is full");
  });
  EXPECT_EQ(one.status, 1);
  EXPECT_EQ(one.text, "rank " + std::to_string(ranks().world() - 1) + " of " +
                          std::to_string(ranks().world()) + ": file: is full");
}

TEST(Together, OneRankIsEnoughToStopAll) {
  EXPECT_FALSE(on_any_rank(ranks(), false));
  EXPECT_TRUE(on_any_rank(ranks(), is_last()));
}

TEST(WhoDiverged, IsTheFirstRankWhoseOwnPartOfTheLossIsNoNumber) {
  const int world = ranks().world();
  EXPECT_EQ(who_diverged(ranks(), "step 3: no", 1.5),
            "step 3: no; each rank's own part of the loss was finite");
  const double none = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(who_diverged(ranks(), "step 3: no", is_last() ? none : 2),
            "rank " + std::to_string(world - 1) + " of " + std::to_string(world) +
                ": step 3: no; its own part of the loss was nan");
  EXPECT_EQ(who_diverged(ranks(), "no", none),
            "rank 0 of " + std::to_string(world) + ": no; its own part of the loss was nan");
}

TEST(RequireSame, NamesRankKeyAndBothValues) {
  require_same(ranks(), {{"a", "1"}, {"b", "2"}});
  if (ranks().world() == 1) return;
  try {
    require_same(ranks(), {{"a", "1"}, {"b", is_last() ? "3" : "2"}});
    FAIL();
  } catch (const SharedFailure& failure) {
    EXPECT_EQ(failure.status, 2);
    expect_parts(failure.text,
                 {"rank", "key", std::to_string(ranks().world() - 1) + "  b", "3  (rank 0: 2)"});
    EXPECT_EQ(failure.text.find("  a "), std::string::npos) << failure.text;
  }
}

TEST(RequireSame, NamesTheLibraryWhoseVersionDiffers) {
  Facts facts = library_facts({"cpu", nullptr}, {.launcher = "mpirun", .rank = 0, .world = 2});
  ASSERT_EQ(facts.size(), 3u);
  EXPECT_EQ(facts[0].first, "OpenBLAS");
  EXPECT_EQ(facts[1], std::pair(std::string("NCCL"), std::string("unused")));
  EXPECT_EQ(facts[2], std::pair(std::string("MPI"), mpi_version()));
  EXPECT_NE(facts[0].second.find_first_of("0123456789"), std::string::npos) << facts[0].second;
  EXPECT_EQ(library_facts({"cpu", nullptr}, {.launcher = "torchrun", .rank = 0, .world = 2})[2].second,
            "unused");
  require_same(ranks(), facts);
  if (ranks().world() == 1) return;
  if (is_last()) facts[0].second += ".other";
  try {
    require_same(ranks(), facts);
    FAIL();
  } catch (const SharedFailure& failure) {
    EXPECT_EQ(failure.status, 2);
    expect_parts(failure.text, {"  OpenBLAS", ".other  (rank 0: "});
  }
}

TEST(Share, IsContiguousEvenAndNeverEmpty) {
  for (int world = 1; world <= 5; ++world) {
    for (int64_t parts = world; parts < 20; ++parts) {
      int64_t next = 0;
      for (int r = 0; r < world; ++r) {
        const Share share = share_of(parts, r, world);
        EXPECT_EQ(share.first, next);
        EXPECT_GE(share.count, parts / world);
        EXPECT_LE(share.count, parts / world + 1);
        next += share.count;
      }
      EXPECT_EQ(next, parts);
    }
  }
  expect_parts(message_of<ConfigError>([] { share_of(2, 0, 3); }),
               {"train.micro_batch_size", "2 micro-batches", "3 processes"});
}

}  // namespace
}  // namespace lethe::test
