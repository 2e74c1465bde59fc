// `lethe train` as torchrun starts it: over TCP, without MPI, and no launcher that ends the others.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>

#include "engine/checkpoint.h"
#include "tests/distributed/launched.h"

namespace lethe::test {
namespace {

Strings join(int ranks, const Strings& command) {
  Strings all = {std::to_string(ranks), LETHE_BINARY};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

const Strings kLong = {"train.batch_size=6", "train.duration=100000 steps", "train.save_every=20",
                       "train.eval_every=0"};

TEST(Joined, OfADeadRankTheOthersTellOnceLastAndEnd) {
  const Folder folder;
  RunningCommand command(join(3, train(folder, kLong)));
  wait_for_checkpoint(command, folder);
  const std::vector<pid_t> processes = children_of(command.pid());
  ASSERT_EQ(processes.size(), 3u);
  ::kill(processes[1], SIGKILL);
  const auto start = std::chrono::steady_clock::now();
  const CommandResult result = command.wait();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_EQ(result.status, 3) << result.err;
  // The others lose their connections to it, which is no news.
  EXPECT_EQ(count_of(result.err, "lethe train: "), 1) << result.err;
  expect_parts(result.err, {"the run ends", "node", "\n     0  ", "\n     2  ", "step"});
  EXPECT_TRUE(result.err.ends_with("rank 1 of 3 died\n")) << result.err;
  const std::string zero = read_bytes(folder / "run/logs/rank-0.log"),
                    two = read_bytes(folder / "run/logs/rank-2.log");
  expect_parts(zero, {"model   fresh", "rank 0 of 3: host ", ", device cpu", "rank 1 of 3 died"});
  expect_parts(two, {"model   fresh", "rank 2 of 3: host ", ", device cpu", "the run ends, with status 3"});
  expect_parts(read_bytes(folder / "run/logs/rank-1.log"), {"rank 1 of 3: host "});
  expect_gone(processes);
  EXPECT_TRUE(newest_checkpoint(folder / "run/checkpoints").has_value());
}

TEST(Joined, OfALossThatIsNoNumberAllTellOnceLastAndKeepTheCheckpoint) {
  const Folder folder;
  const CommandResult result =
      RunningCommand(join(3, train(folder, {"train.batch_size=6", "train.eval_every=0", "train.save_every=1",
                                            "optimizer.learning_rate=1e30", "schedule.warmup=0 steps"})))
          .wait();
  EXPECT_EQ(result.status, 1) << result.err;
  EXPECT_EQ(count_of(result.err, "lethe train: "), 1) << result.err;
  expect_parts(result.err,
               {"the run ends", "\n     0  ", "\n     1  ", "\n     2  ", "the weights were not changed"});
  const size_t last = result.err.rfind('\n', result.err.size() - 2);
  EXPECT_TRUE(result.err.substr(last).starts_with("\nrank ")) << result.err;
  for (const char* rank : {"0", "1", "2"}) {
    expect_parts(read_bytes(folder / ("run/logs/rank-" + std::string(rank) + ".log")),
                 {"Z  rank ", "the weights were not changed"});
  }
  const auto saved = newest_checkpoint(folder / "run/checkpoints");
  ASSERT_TRUE(saved.has_value());
  EXPECT_FALSE(saved_tensors(saved->directory).empty());
}

}  // namespace
}  // namespace lethe::test
