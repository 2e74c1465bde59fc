// `lethe train` as a process: signals, a full disk, and going on afterwards.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "engine/checkpoint.h"
#include "tests/run/process.h"
#include "tests/run/small_run.h"

namespace lethe::test {
namespace {

std::vector<std::string> train(const Folder& folder, const std::vector<std::string>& assignments,
                               bool resume = false) {
  const std::string file = write_text(folder / "config.yaml", small_config(folder.path()));
  std::vector<std::string> arguments = {"train", file};
  for (const std::string& a : assignments) arguments.insert(arguments.end(), {"--set", a});
  if (resume) arguments.emplace_back("--resume");
  return arguments;
}

const std::vector<std::string> kLong = {"train.duration=400 steps", "train.save_every=0",
                                        "train.eval_every=0"};

std::string trained(const Folder& folder) {
  return read_bytes(folder / "run/model/model.safetensors");
}

// Until the run has logged a step.
void wait_for_steps(const RunningCommand& command, const Folder& folder) {
  const std::string metrics = folder / "run/metrics.jsonl";
  while (command.running() && (!std::filesystem::exists(metrics) ||
                               read_bytes(metrics).find("\"kind\":\"step\"") == std::string::npos)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST(TrainCommand, SavesOnASignalAndResumesToTheSameResult) {
  const Folder whole;
  const CommandResult expected = lethe_command(train(whole, kLong));
  ASSERT_EQ(expected.status, 0) << expected.err;
  EXPECT_EQ(expected.out, whole / "run/model\n");
  for (const auto& [signal, name] : {std::pair{SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}}) {
    const Folder folder;
    RunningCommand command(train(folder, kLong));
    wait_for_steps(command, folder);
    command.send(signal);
    const CommandResult stopped = command.wait();
    EXPECT_EQ(stopped.status, 1) << stopped.err;
    EXPECT_TRUE(stopped.out.empty()) << stopped.out;
    expect_parts(stopped.err,
                 {std::string("lethe train: stopped by ") + name + " after step ", "of 400", "--resume"});
    const auto saved = newest_checkpoint(folder / "run/checkpoints");
    ASSERT_TRUE(saved.has_value());
    ASSERT_LT(saved->step, 400);
    expect_parts(stopped.err, {"after step " + std::to_string(saved->step) + " "});

    const CommandResult resumed = lethe_command(train(folder, kLong, true));
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    expect_parts(resumed.err,
                 {"resumed " + saved->directory + " at step " + std::to_string(saved->step) + " of 400"});
    EXPECT_TRUE(trained(folder) == trained(whole)) << name;
    EXPECT_EQ(timeless_metrics(folder / "run/metrics.jsonl"), timeless_metrics(whole / "run/metrics.jsonl"));
  }
}

TEST(TrainCommand, FullDiskLeavesTheLastCheckpointWhole) {
  const std::vector<std::string> short_run = {"train.duration=4 steps", "schedule.name=constant"},
                                 long_run = {"train.duration=12 steps", "schedule.name=constant"};
  const Folder whole, folder;
  ASSERT_EQ(lethe_command(train(whole, long_run)).status, 0);
  ASSERT_EQ(lethe_command(train(folder, short_run)).status, 0);
  const std::string kept = folder / "run/checkpoints/step-00000004/state.safetensors";
  const std::string before = read_bytes(kept);
  // No file may pass 20 kB: the metrics fit, the checkpoint's 40 kB do not.
  ASSERT_GT(before.size(), 40'000u);
  const CommandResult full = lethe_command(train(folder, long_run, true), 20'000);
  EXPECT_EQ(full.status, 1) << full.err;
  expect_parts(full.err, {"the checkpoint of step 6 was not written",
                          "state.safetensors: writing failed: File too large",
                          "that of step 4 is whole, --resume goes on from it"});
  EXPECT_TRUE(read_bytes(kept) == before);
  EXPECT_EQ(newest_checkpoint(folder / "run/checkpoints")->step, 4);
  EXPECT_FALSE(std::filesystem::exists(folder / "run/checkpoints/step-00000006.partial"));

  EXPECT_EQ(lethe_command(train(folder, long_run, true)).status, 0);
  EXPECT_TRUE(trained(folder) == trained(whole));
}

}  // namespace
}  // namespace lethe::test
