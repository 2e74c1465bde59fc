// A run that is interrupted, by its own decision or by a kill, and goes on.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "engine/checkpoint.h"
#include "engine/rng.h"
#include "tests/run/small_run.h"

namespace lethe::test {
namespace {

struct Variant {
  const char *name, *method;
  std::vector<std::string> set;
};
class Interrupted : public testing::TestWithParam<Variant> {};

TEST_P(Interrupted, AtAnyStepAndResumedEqualsTheUninterruptedRun) {
  std::vector<std::string> set = GetParam().set;
  for (const char* more :
       {"lora.rank=3", "lora.dropout=0.2", "train.attention_dropout=0.1", "optimizer.weight_decay=0.01"})
    set.emplace_back(more);
  set.push_back(std::string("method=") + GetParam().method);
  const Folder whole;
  const Ran expected = train_small(small_options(whole.path(), set), false);
  ASSERT_EQ(expected.last, 8);
  ASSERT_GT(expected.state.size(), 1000u);
  ASSERT_EQ(expected.metrics.size(), 8u + 5u);  // steps; evaluations before the first and after every second
  for (int64_t k = 1; k <= 8; ++k) {
    const Folder parts;
    const TrainOptions options = small_options(parts.path(), set);
    EXPECT_EQ(train_small(options, false, k).last, k);
    const Ran got = train_small(options, true);
    EXPECT_EQ(got.last, 8);
    EXPECT_TRUE(got.state == expected.state) << "checkpoint's tensors, interrupted after step " << k;
    EXPECT_EQ(got.about, expected.about) << k;
    EXPECT_TRUE(got.exported == expected.exported) << "trained weights, interrupted after step " << k;
    EXPECT_EQ(got.metrics, expected.metrics) << k;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Methods, Interrupted,
    testing::Values(Variant{"full", "full", {}}, Variant{"lora", "lora", {}},
                    Variant{"lora_pissa", "lora", {"lora.init=pissa"}},
                    Variant{"full_bf16", "full", {"precision=bfloat16"}},
                    Variant{"full_bf16_state",
                            "full",
                            {"precision=bfloat16", "optimizer.state=bfloat16", "train.micro_batch_size=4"}},
                    Variant{"lora_bf16_state", "lora", {"precision=bfloat16", "optimizer.state=bfloat16"}}),
    [](const auto& variant) { return std::string(variant.param.name); });

// The metrics may be ahead of the newest checkpoint: a kill between two saves.
TEST(Killed, BetweenTwoSavesLosesTheStepsSinceAndNothingElse) {
  const Folder whole, parts;
  const Ran expected = train_small(small_options(whole.path()), false);
  const TrainOptions options = small_options(parts.path());
  train_small(options, false, 5);
  std::filesystem::remove_all(options.output + "/checkpoints/step-00000005");
  ASSERT_EQ(newest_checkpoint(options.output + "/checkpoints")->step, 3);
  const Ran got = train_small(options, true);
  EXPECT_TRUE(got.state == expected.state);
  EXPECT_EQ(got.metrics, expected.metrics);
}

// What a killed save left behind.
bool holds_leftovers(const std::string& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().filename().string().find(".partial") != std::string::npos) return true;
    if (entry.is_directory() && !std::filesystem::exists(entry.path() / "complete")) return true;
  }
  return false;
}

// One chain of runs: each child goes on from the newest checkpoint, saves after every step and is killed at a
// random moment. The parent's `reference` walks the same steps and is never interrupted.
TEST(Killed, AtAHundredRandomMomentsOfSavingGoesOnBitForBit) {
  const Folder folder;
  TrainOptions options =
      small_options(folder.path(), {"threads=1", "train.duration=100000 steps", "train.eval_every=0",
                                    "train.save_every=1", "train.keep_checkpoints=2"});
  const std::string checkpoints = options.output + "/checkpoints";
  TrainingRun child(prepare_run(options)), probe(prepare_run(options));
  options.output.clear();
  TrainingRun reference(prepare_run(options));

  // The time of one step with its save, for delays that meet every moment of it.
  const auto start = std::chrono::steady_clock::now();
  probe.train({.should_stop = [&] { return probe.step() == 5; }});
  const auto measured =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start) / 5;
  const auto period = std::min<std::chrono::microseconds>(measured, std::chrono::milliseconds(40));

  const Rng rng(11, stream_of("kill"));
  int64_t newest = 5, with_leftovers = 0;
  for (uint64_t kill_number = 0; kill_number < 100; ++kill_number) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      std::freopen("/dev/null", "w", stderr);
      try {
        child.resume();
        child.train({});
      } catch (...) {
        std::_Exit(3);
      }
      std::_Exit(0);
    }
    std::this_thread::sleep_for(
        std::chrono::microseconds(rng.below(kill_number, static_cast<uint64_t>(6 * period.count()))));
    kill(pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "the child ended by itself: " << status;
    with_leftovers += holds_leftovers(checkpoints);

    testing::internal::CaptureStderr();
    const int64_t step = probe.resume();
    const std::string said = testing::internal::GetCapturedStderr();
    ASSERT_GE(step, newest) << "a checkpoint that was complete is gone";
    expect_parts(said, {fmt::format("resumed {}/step-{:08} at step {}", checkpoints, step, step)});
    newest = step;
    if (reference.step() < step) reference.train({.should_stop = [&] { return reference.step() == step; }});
    ASSERT_EQ(differing_tensors(reference.session(), probe.session()), std::vector<std::string>{})
        << "step " << step;
  }
  // Otherwise the kills met no save, or nothing but saves that had not begun.
  EXPECT_GE(with_leftovers, 10);
  EXPECT_GE(newest, 10);
  std::printf("%lld steps, %lld of 100 kills left an unfinished save\n", static_cast<long long>(newest),
              static_cast<long long>(with_leftovers));
}

TEST(Resume, PassesOverAnUnfinishedCheckpointAndSaysSo) {
  const Folder folder;
  const TrainOptions options = small_options(folder.path());
  train_small(options, false);
  std::filesystem::remove(options.output + "/checkpoints/step-00000008/complete");
  TrainingRun run(prepare_run(options));
  testing::internal::CaptureStderr();
  EXPECT_EQ(run.resume(), 6);
  expect_parts(testing::internal::GetCapturedStderr(),
               {"step-00000008 is not complete and is passed over", "resumed", "at step 6 of 8"});
}

TEST(Resume, WithoutACheckpointStartsAtTheBeginningAndSaysSo) {
  const Folder folder;
  TrainingRun run(prepare_run(small_options(folder.path())));
  testing::internal::CaptureStderr();
  EXPECT_EQ(run.resume(), 0);
  expect_parts(testing::internal::GetCapturedStderr(),
               {"no complete checkpoint in " + folder.path() + "/run/checkpoints"});
}

TEST(Resume, RefusesACheckpointOfAnotherRequestByItsKey) {
  const Folder folder;
  train_small(small_options(folder.path()), false, 2);
  const std::pair<const char*, const char*> requests[] = {
      {"model.initial_seed=4", "model"},
      {"method=lora", "method"},
      {"data.sequence_length=16", "data"},
      {"data.shuffle_seed=3", "data"},
  };
  for (const auto& [assignment, key] : requests) {
    TrainingRun run(prepare_run(small_options(folder.path(), {assignment})));
    expect_parts(message_of<FormatError>([&] { run.resume(); }),
                 {"step-00000002/state.json: " + std::string(key) + ": is ", "in the checkpoint"});
    EXPECT_EQ(run.step(), 0);
  }
  TrainingRun other(prepare_run(small_options(folder.path(), {"optimizer.name=lion"})));
  expect_parts(message_of<FormatError>([&] { other.resume(); }), {"state.safetensors", "lion.m/"});
  const Folder narrow;
  train_small(small_options(narrow.path(), {"precision=bfloat16"}), false, 2);
  TrainingRun other_state(
      prepare_run(small_options(narrow.path(), {"precision=bfloat16", "optimizer.state=bfloat16"})));
  expect_parts(message_of<FormatError>([&] { other_state.resume(); }),
               {"state.safetensors", "adam.m/", "holds", "F32", "bfloat16"});
}

TEST(Resume, RefusesADamagedStateByItsFile) {
  const Folder folder;
  const TrainOptions options = small_options(folder.path());
  train_small(options, false, 2);
  const std::string file = options.output + "/checkpoints/step-00000002/state.json";
  std::string text = read_bytes(file);
  text[0] = '!';  // the size, and with it the mark of a complete checkpoint, stays true
  write_text(file, text);
  TrainingRun run(prepare_run(options));
  expect_parts(message_of<FormatError>([&] { run.resume(); }), {file});
}

// 1000 batches at the beginning against as many at row 10^6 * 4. A search through the data before would take
// thousands of times as long; 5 is for the machine's moods, and the best of three tries is taken.
TEST(DataPosition, IsFoundAsFastLateAsEarly) {
  const Folder folder;
  const RunData data = prepare_data(small_options(folder.path()));
  Loader loader = data.loader(0);
  const auto seconds = [&](uint64_t position) {
    double best = 1e9;
    for (int attempt = 0; attempt < 3; ++attempt) {
      const auto start = std::chrono::steady_clock::now();
      for (uint64_t i = 0; i < 1000; ++i) {
        loader.seek(position + 4 * i);
        loader.next(4);
      }
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return best;
  };
  const double early = seconds(4);
  EXPECT_LT(seconds(4'000'000), 5 * early);
}

}  // namespace
}  // namespace lethe::test
