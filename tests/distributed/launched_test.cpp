// `lethe train` under mpirun as a person starts it: one log, one result, one message, and nobody left behind.
#include "tests/distributed/launched.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "engine/checkpoint.h"
#include "engine/rng.h"

namespace lethe::test {
namespace {

// mpirun's own arguments for one of the programs that it starts together.
Strings of_ranks(int ranks, const Strings& command) {
  Strings all = {"-n", std::to_string(ranks), LETHE_BINARY};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

Strings launch(const Strings& programs) {
  Strings all = {"--oversubscribe", "--allow-run-as-root", "--bind-to", "none"};
  all.insert(all.end(), programs.begin(), programs.end());
  return all;
}

CommandResult run(int ranks, const Strings& command) {
  return RunningCommand(launch(of_ranks(ranks, command))).wait();
}

std::vector<double> losses_of(const Folder& folder) {
  std::vector<double> losses;
  for (const std::string& line : timeless_metrics(folder / "run/metrics.jsonl")) {
    const auto entry = nlohmann::json::parse(line);
    if (entry.at("kind") == "step") losses.push_back(entry.at("loss"));
  }
  return losses;
}

const Strings kShares = {"train.batch_size=6"};  // of 2 rows each: three micro-batches

TEST(Launched, WritesOnceWhatOneProcessWrites) {
  const Folder alone, shared;
  ASSERT_EQ(run(1, train(alone, kShares)).status, 0);
  const CommandResult result = run(3, train(shared, kShares));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(result.out, shared / "run/model\n");
  EXPECT_EQ(count_of(result.err, "tokenized"), 3) << result.err;  // two texts and one held out
  const std::vector<double> expected = losses_of(alone), found = losses_of(shared);
  ASSERT_EQ(found.size(), 8u);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i] / expected[i], 1, 1e-5) << i;
  const Folder again;
  ASSERT_EQ(run(3, train(again, kShares)).status, 0);
  EXPECT_TRUE(read_bytes(again / "run/model/model.safetensors") ==
              read_bytes(shared / "run/model/model.safetensors"));
}

TEST(Launched, RefusesARequestOnceAndWritesNothing) {
  const Folder folder;
  const CommandResult bad = run(3, train(folder, {"train.batch_size=4"}));
  EXPECT_EQ(bad.status, 2) << bad.err;
  EXPECT_EQ(count_of(bad.err, "lethe train: "), 1) << bad.err;
  expect_parts(bad.err, {"train.micro_batch_size", "2 micro-batches", "3 processes"});
  const CommandResult self = run(2, train(folder, {"distributed.engine=self"}));
  EXPECT_EQ(self.status, 2) << self.err;
  expect_parts(self.err, {"distributed.engine: is self, and mpirun started 2 processes"});
  EXPECT_EQ(folder.names(), Strings{"config.yaml"});
}

TEST(Launched, RefusesRanksThatWereAskedForOtherThings) {
  const Folder folder;
  Strings programs = of_ranks(2, train(folder, kShares));
  programs.emplace_back(":");
  const Strings other = of_ranks(1, train(folder, {"train.batch_size=6", "optimizer.learning_rate=0.02"}));
  programs.insert(programs.end(), other.begin(), other.end());
  const CommandResult result = RunningCommand(launch(programs)).wait();
  EXPECT_EQ(result.status, 2) << result.err;
  EXPECT_EQ(count_of(result.err, "lethe train: "), 1) << result.err;
  expect_parts(result.err, {"rank", "key", "   2  optimizer.learning_rate", "0.02  (rank 0: 0.01)"});
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

// The largest difference of a tensor's elements over the largest element, of two checkpoints in float64.
double apart(const std::string& a, const std::string& b) {
  const auto x = saved_tensors(a), y = saved_tensors(b);
  EXPECT_EQ(x.size(), y.size());
  double most = 0;
  for (const auto& [name, bytes_of_x] : x) {
    const auto values = [](const std::string& bytes) {
      std::vector<double> found(bytes.size() / sizeof(double));
      std::memcpy(found.data(), bytes.data(), bytes.size());
      return found;
    };
    const std::vector<double> of_x = values(bytes_of_x), of_y = values(y.at(name));
    EXPECT_EQ(of_x.size(), of_y.size()) << name;
    double difference = 0, size = 0;
    for (size_t i = 0; i < of_x.size(); ++i) {
      difference = std::max(difference, std::abs(of_x[i] - of_y[i]));
      size = std::max(size, std::abs(of_x[i]));
    }
    if (size > 0) most = std::max(most, difference / size);
  }
  return most;
}

TEST(Launched, ACheckpointMovesFromFourRanksToTwoToThreeToOne) {
  const Strings shared = {"train.batch_size=8", "precision=float64", "schedule.name=constant"};
  const auto until = [&](const std::string& steps, const std::string& sharding) {
    Strings all = shared;
    all.insert(all.end(), {"train.duration=" + steps + " steps", "distributed.sharding=" + sharding});
    return all;
  };
  const Folder whole, moved;
  ASSERT_EQ(run(1, train(whole, until("12", "none"))).status, 0);
  const std::tuple<int, const char*, const char*> stations[] = {
      {4, "3", "zero1"}, {2, "6", "none"}, {3, "9", "zero1"}, {1, "12", "none"}};
  for (const auto& [ranks, steps, sharding] : stations) {
    const CommandResult result = run(ranks, train(moved, until(steps, sharding), ranks != 4));
    ASSERT_EQ(result.status, 0) << result.err;
  }
  const std::string last = "run/checkpoints/step-00000012";
  EXPECT_LT(apart(whole / last, moved / last), 1e-12);
  const std::vector<double> expected = losses_of(whole), found = losses_of(moved);
  ASSERT_EQ(found.size(), 12u);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i] / expected[i], 1, 1e-12) << i;
}

const Strings kLong = {"train.batch_size=6", "train.duration=300 steps", "train.save_every=20",
                       "train.eval_every=0", "distributed.sharding=zero1"};

class Interrupted : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(run(3, train(whole_, kLong)).status, 0); }
  void expect_to_go_on(const Folder& folder) const {
    const CommandResult resumed = run(3, train(folder, kLong, true));
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    EXPECT_TRUE(read_bytes(folder / "run/model/model.safetensors") ==
                read_bytes(whole_ / "run/model/model.safetensors"));
    EXPECT_EQ(timeless_metrics(folder / "run/metrics.jsonl"), timeless_metrics(whole_ / "run/metrics.jsonl"));
  }

 private:
  Folder whole_;
};

TEST_F(Interrupted, ByASignalToOneRankAllSaveOnceAndGoOnBitForBit) {
  const Folder folder;
  RunningCommand command(launch(of_ranks(3, train(folder, kLong))));
  wait_for_checkpoint(command, folder);
  const std::vector<pid_t> processes = children_of(command.pid());
  ASSERT_EQ(processes.size(), 3u);
  ::kill(processes.back(), SIGTERM);
  const CommandResult stopped = command.wait();
  EXPECT_EQ(stopped.status, 1) << stopped.err;
  EXPECT_EQ(count_of(stopped.err, "lethe train: stopped by SIGTERM after step "), 1) << stopped.err;
  expect_gone(processes);
  const auto saved = newest_checkpoint(folder / "run/checkpoints");
  ASSERT_TRUE(saved && saved->step < 300);
  expect_parts(stopped.err, {"after step " + std::to_string(saved->step) + " "});
  expect_to_go_on(folder);
}

TEST_F(Interrupted, ByTheDeathOfARankAllEndAndTheLastCheckpointIsWhole) {
  for (const size_t victim : {0u, 2u}) {
    const Folder folder;
    RunningCommand command(launch(of_ranks(3, train(folder, kLong))));
    wait_for_checkpoint(command, folder);
    const std::vector<pid_t> processes = children_of(command.pid());
    ASSERT_EQ(processes.size(), 3u);
    ::kill(processes[victim], SIGKILL);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_NE(command.wait().status, 0);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    expect_gone(processes);
    ASSERT_TRUE(newest_checkpoint(folder / "run/checkpoints").has_value());
    expect_to_go_on(folder);
  }
}

TEST(Stopped, ARankThatStandsStillEndsTheRunInTheSecondsThatWereSet) {
  const Folder folder;
  Strings arguments = train(folder, {"train.batch_size=6", "train.duration=100000 steps",
                                     "train.save_every=20", "train.eval_every=0"});
  arguments.insert(arguments.end(), {"--hang-seconds", "2"});
  RunningCommand command(launch(of_ranks(3, arguments)));
  wait_for_checkpoint(command, folder);
  const std::vector<pid_t> processes = children_of(command.pid());
  ASSERT_EQ(processes.size(), 3u);
  ::kill(processes[2], SIGSTOP);
  const auto start = std::chrono::steady_clock::now();
  const CommandResult result = command.wait();
  EXPECT_EQ(result.status, 3) << result.err;
  // The limit, the watch's pauses, and what mpirun takes to end the others.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  expect_parts(result.err, {"the run ends", "heard before", "   2  "});
  std::istringstream lines(result.err);
  int64_t places = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("     "))
      places += line.find(", node ") != line.npos || line.find("  behind ") != line.npos;
  }
  EXPECT_EQ(places, 3) << result.err;
  expect_gone(processes);
  EXPECT_TRUE(newest_checkpoint(folder / "run/checkpoints").has_value());
}

// How many ranks are killed: LETHE_TEST_KILLS, or a few.
uint64_t kills_asked_for() {
  const char* const asked = std::getenv("LETHE_TEST_KILLS");
  return asked ? std::stoull(asked) : 10;
}

// One chain of runs: each goes on from the newest checkpoint, saves after every step and loses a rank at a
// random moment, of starting up too.
TEST(Killed, ARankAtRandomMomentsCostsNoMoreThanTheStepsSinceTheLastCheckpoint) {
  const uint64_t kills = kills_asked_for();
  const auto options = [](const std::string& steps) {
    return Strings{"train.batch_size=6",     "train.duration=" + steps + " steps",
                   "train.save_every=1",     "train.eval_every=0",
                   "schedule.name=constant", "distributed.sharding=zero1"};
  };
  const Folder folder, whole;
  const Rng rng(5, stream_of("kill a rank"));
  int64_t newest = 0;
  for (uint64_t k = 0; k < kills; ++k) {
    RunningCommand command(launch(of_ranks(3, train(folder, options("100000"), true))));
    std::this_thread::sleep_for(std::chrono::milliseconds(300 + rng.below(2 * k, 900)));
    const std::vector<pid_t> processes = children_of(command.pid());
    if (!processes.empty()) ::kill(processes[rng.below(2 * k + 1, processes.size())], SIGKILL);
    if (processes.empty()) command.send(SIGTERM);
    EXPECT_NE(command.wait().status, 0);
    expect_gone(processes);
    const auto found = newest_checkpoint(folder / "run/checkpoints");
    ASSERT_GE(found ? found->step : 0, newest) << "a checkpoint that was complete is gone";
    if (found) newest = found->step;
  }
  ASSERT_GE(newest, static_cast<int64_t>(kills)) << "the kills met nothing but the start";
  const CommandResult result = run(3, train(whole, options(std::to_string(newest))));
  ASSERT_EQ(result.status, 0) << result.err;
  const std::string last = fmt::format("run/checkpoints/step-{:08}", newest);
  EXPECT_TRUE(saved_tensors(whole / last) == saved_tensors(folder / last)) << "step " << newest;
  std::printf("%lld steps, %llu kills\n", static_cast<long long>(newest),
              static_cast<unsigned long long>(kills));
}

}  // namespace
}  // namespace lethe::test
