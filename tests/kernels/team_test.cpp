#include "kernels/cpu/team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "tests/kernels/threads.h"

namespace lethe {
namespace {

using kernels::cpu::parallel_pieces;
using kernels::cpu::Team;

TEST(Team, TakesEveryPieceOnceOverManyJobs) {
  for (const int threads : {0, 1, 2, 3, 7}) {
    const test::Threads team(threads);
    // Many more jobs than a thread looks between sleeps, of every awkward size.
    for (int job = 0; job < 2000; ++job) {
      const int64_t count = (job * 7) % 23;
      std::vector<int> taken(static_cast<size_t>(count), 0);
      parallel_pieces(count, 1 + job % 3, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++taken[static_cast<size_t>(i)];
      });
      EXPECT_EQ(taken, std::vector<int>(static_cast<size_t>(count), 1)) << threads << " threads, job " << job;
    }
  }
}

TEST(Team, WorkersOfOneMomentHaveDifferentNumbers) {
  const test::Threads team(4);
  std::vector<std::atomic<int>> inside(4);
  std::atomic<int> collisions = 0;
  parallel_pieces(3000, 1, [&](int64_t, int64_t, int worker) {
    collisions += inside.at(static_cast<size_t>(worker)).fetch_add(1);
    std::this_thread::yield();
    inside[static_cast<size_t>(worker)].fetch_sub(1);
  });
  EXPECT_EQ(collisions, 0);
}

TEST(Team, WakesThreadsThatWentToSleep) {
  const test::Threads team(2);
  for (int job = 0; job < 5; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(15));
    std::atomic<int> together = 0;
    // Each piece waits for the other: only two threads can finish them.
    parallel_pieces(2, 1, [&](int64_t, int64_t) {
      ++together;
      while (together < 2) std::this_thread::yield();
    });
    EXPECT_EQ(together, 2);
  }
}

TEST(Team, ATeamInsideAnotherEndsWithItsScope) {
  EXPECT_EQ(Team::current(), nullptr);
  {
    const test::Threads outer(2);
    Team* const was = Team::current();
    {
      const test::Threads inner(3);
      EXPECT_EQ(Team::current()->size(), 3);
    }
    EXPECT_EQ(Team::current(), was);
  }
  EXPECT_EQ(Team::current(), nullptr);
}

}  // namespace
}  // namespace lethe
