// `lethe launch`: processes that need no other launcher, and that are started again when one dies.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "engine/checkpoint.h"
#include "tests/run/process.h"
#include "tests/run/small_run.h"

namespace lethe::test {
namespace {

using Strings = std::vector<std::string>;

Strings launch(const Folder& folder, const Strings& options, const Strings& assignments) {
  const std::string file = write_text(folder / "config.yaml", small_config(folder.path()));
  Strings all = {"launch"};
  all.insert(all.end(), options.begin(), options.end());
  all.insert(all.end(), {"--", "train", file, "--set", "threads=1"});
  for (const std::string& a : assignments) all.insert(all.end(), {"--set", a});
  return all;
}

const Strings kLong = {"train.batch_size=6", "train.duration=300 steps", "train.save_every=20",
                       "train.eval_every=0", "distributed.sharding=zero1"};

bool is_gone(pid_t pid) {
  for (int i = 0; i < 2000 && is_running(pid); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return !is_running(pid);
}

// Waits for a checkpoint after `step`; returns the processes that run then.
std::vector<pid_t> processes_after(const RunningCommand& command, const Folder& folder, int64_t step) {
  const std::string checkpoints = folder / "run/checkpoints";
  while (command.running()) {
    if (std::filesystem::exists(checkpoints)) {
      const auto newest = newest_checkpoint(checkpoints);
      if (newest && newest->step > step) break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return children_of(command.pid());
}

std::string model_of(const Folder& folder) {
  return read_bytes(folder / "run/model/model.safetensors");
}

TEST(Launch, ARunWhoseRanksAreKilledEndsWithTheBitsOfOneThatWasLeftAlone) {
  const Folder whole, killed;
  const CommandResult left_alone = lethe_command(launch(whole, {"--ranks", "3"}, kLong));
  ASSERT_EQ(left_alone.status, 0) << left_alone.err;
  EXPECT_EQ(left_alone.out, whole / "run/model\n");

  RunningCommand command(launch(killed, {"--ranks", "3", "--restarts", "2"}, kLong));
  std::vector<pid_t> first = processes_after(command, killed, 0);
  ASSERT_EQ(first.size(), 3u);
  ::kill(first[2], SIGKILL);
  for (const pid_t p : first) EXPECT_TRUE(is_gone(p));
  const auto at = newest_checkpoint(killed / "run/checkpoints");
  ASSERT_TRUE(at.has_value());
  std::vector<pid_t> second = processes_after(command, killed, at->step);
  ASSERT_EQ(second.size(), 3u);
  ::kill(second[0], SIGKILL);
  const CommandResult result = command.wait();
  EXPECT_EQ(result.status, 0) << result.err;
  expect_parts(result.err, {"rank 2 of 3 was ended by signal 9", "restart 1 of 2 from step ",
                            "rank 0 of 3 was ended by signal 9", "restart 2 of 2 from step "});
  EXPECT_TRUE(model_of(killed) == model_of(whole));
  EXPECT_EQ(timeless_metrics(killed / "run/metrics.jsonl"), timeless_metrics(whole / "run/metrics.jsonl"));
}

TEST(Launch, WithoutRestartsTheStatusIsThatOfTheRankThatDied) {
  const Folder folder;
  RunningCommand command(launch(folder, {"--ranks", "2"}, kLong));
  const std::vector<pid_t> processes = processes_after(command, folder, 0);
  ASSERT_EQ(processes.size(), 2u);
  ::kill(processes[1], SIGKILL);
  const CommandResult result = command.wait();
  EXPECT_EQ(result.status, 128 + SIGKILL);
  const std::string last = "lethe launch: rank 1 of 2 was ended by signal 9 (Killed)\n";
  EXPECT_TRUE(result.err.ends_with(last)) << result.err;
  for (const pid_t p : processes) EXPECT_TRUE(is_gone(p));
}

TEST(Launch, ASignalIsPassedOnAndARunThatWasToldToStopIsNotStartedAgain) {
  const Folder folder;
  RunningCommand command(launch(folder, {"--ranks", "2", "--restarts", "5"}, kLong));
  const std::vector<pid_t> processes = processes_after(command, folder, 0);
  command.send(SIGTERM);
  const CommandResult result = command.wait();
  EXPECT_EQ(result.status, 1) << result.err;
  expect_parts(result.err, {"stopped by SIGTERM after step ", "the checkpoint is saved"});
  EXPECT_EQ(result.err.find("restart"), std::string::npos) << result.err;
  for (const pid_t p : processes) EXPECT_TRUE(is_gone(p));
}

TEST(Launch, NobodyIsLeftBehindByALauncherThatDies) {
  const Folder folder;
  RunningCommand command(launch(folder, {"--ranks", "2"}, kLong));
  const std::vector<pid_t> processes = processes_after(command, folder, 0);
  ASSERT_EQ(processes.size(), 2u);
  command.send(SIGKILL);
  command.wait();
  for (const pid_t p : processes) EXPECT_TRUE(is_gone(p));
}

TEST(Launch, ARequestThatIsWrongIsNotTriedAgain) {
  const Folder folder;
  const CommandResult bad = lethe_command(launch(folder, {"--ranks", "3", "--restarts", "2"}, {}));
  EXPECT_EQ(bad.status, 2) << bad.err;
  expect_parts(bad.err, {"train.micro_batch_size", "2 micro-batches", "3 processes"});
  EXPECT_EQ(bad.err.find("restart"), std::string::npos) << bad.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST(Launch, RefusesWhatItCannotStart) {
  const std::pair<Strings, Strings> requests[] = {
      {{"launch", "--ranks", "2"}, {"behind -- belongs a command"}},
      {{"launch", "--ranks", "0", "--", "train", "x"}, {"--ranks"}},
      {{"launch", "--ranks", "2", "--", "eval", "x"}, {"train or bench, not eval"}},
      {{"launch", "--ranks", "2", "--restarts", "1", "--", "bench"}, {"--restarts", "no checkpoint"}},
      {{"launch", "--ranks", "2", "--", "train", "/no/such.yaml"}, {"/no/such.yaml"}},
  };
  for (const auto& [arguments, words] : requests) {
    const CommandResult result = lethe_command(arguments);
    EXPECT_EQ(result.status, 2) << result.err;
    expect_parts(result.err, words);
  }
}

}  // namespace
}  // namespace lethe::test
