// Checkpoints beside training: the same bits as those that training waits for, also while updates go on.
#include <gtest/gtest.h>

#include "tests/run/small_run.h"

namespace lethe::test {
namespace {

TEST(CheckpointWriter, WritesBesideTrainingWhatItWritesWhileTrainingWaits) {
  const Folder beside, waiting;
  const std::vector<std::string> every = {"train.save_every=1", "train.keep_checkpoints=9"};
  for (const auto& [folder, async] : {std::pair(&beside, "true"), {&waiting, "false"}}) {
    std::vector<std::string> set = every;
    set.push_back(std::string("train.checkpoint_async=") + async);
    EXPECT_EQ(train_small(small_options(folder->path(), set), false).last, 8);
  }
  for (int step = 1; step <= 8; ++step) {
    const std::string name = "run/checkpoints/step-0000000" + std::to_string(step) + "/state.safetensors";
    const std::string expected = read_bytes(waiting / name);
    EXPECT_GT(expected.size(), 1000u);
    EXPECT_TRUE(read_bytes(beside / name) == expected) << step;
  }
}

TEST(CheckpointWriter, ASnapshotBeyondTheBudgetIsRefusedOrTrainingWaits) {
  const Folder folder;
  TrainingRun sized(prepare_run(small_options(folder.path())));
  const double arena = static_cast<double>(sized.session().plan().arena_bytes);
  const std::string budget = "memory_budget_gb=" + std::to_string((arena + 2000) / 1e9);
  TrainingRun refused(prepare_run(small_options(folder.path(), {budget, "train.checkpoint_async=true"})));
  expect_parts(message_of<MemoryError>([&] { refused.prepare_checkpoints(); }),
               {"train.checkpoint_async", "memory_budget_gb"});
  EXPECT_EQ(train_small(small_options(folder.path(), {budget}), false).last, 8);
}

}  // namespace
}  // namespace lethe::test
