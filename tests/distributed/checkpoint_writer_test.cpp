// Checkpoints by several ranks where one of them cannot write: all know after the same step, and what was
// written before is whole. And who writes what one rank alone holds.
#include "engine/checkpoint_writer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "engine/checkpoint.h"
#include "tests/distributed/shared.h"
#include "tests/run/small_run.h"
#include "tools/run/ranks.h"

namespace lethe::test {
namespace {

// On one rank no file can grow beyond some bytes, as on a full disk: less than any file of a checkpoint.
class NoRoom {
 public:
  explicit NoRoom(bool here) : here_(here) {
    if (!here_) return;
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {8, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~NoRoom() {
    if (!here_) return;
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }
  NoRoom(const NoRoom&) = delete;
  NoRoom& operator=(const NoRoom&) = delete;

 private:
  bool here_;
  rlimit before_ = {};
  void (*handler_)(int) = nullptr;
};

std::string name_of_rank(int rank) {
  return "rank " + std::to_string(rank) + " of " + std::to_string(ranks().world());
}

// The weights that each rank holds: of the first `all` everyone, of the others one rank each.
std::unique_ptr<Session> session_of(int all, int one_each, bool holds_everything) {
  auto state = std::make_unique<State>();
  for (int i = 0; i < all + one_each; ++i) {
    const int owner = i < all || holds_everything ? -1 : i % ranks().world();
    state->declare({.name = "weight" + std::to_string(i),
                    .shape = {30 + i, 7},
                    .trainable = true,
                    .pitch = 8,
                    .owner = owner,
                    .absent = owner >= 0 && owner != ranks().rank()});
  }
  auto made = std::make_unique<Session>(std::move(state), std::vector<std::unique_ptr<Tape>>(),
                                        make_cpu_backend({.threads = 1}));
  for (int32_t i = 0; i < made->state().size(); ++i) {
    const PersistentInfo& p = made->state()[i];
    if (!p.absent)
      made->set<float>(p.name, std::vector<float>(elements_of(p.shape), 0.5f + static_cast<float>(i)));
  }
  return made;
}

// What a call throws on this rank, and after how many polls.
struct Failed {
  std::string text;
  int64_t polls = 0;
};

Failed failure_of_save(CheckpointWriter& writer, int64_t step) {
  Failed failed;
  try {
    writer.save(step, "{\"about\": \"more than eight bytes\"}");
    while (writer.in_flight()) {
      writer.poll();
      ++failed.polls;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  } catch (const RunError& e) {
    failed.text = e.what();
  }
  return failed;
}

// Neither the newest one's files nor what was begun after it are touched while a rank looks.
void expect_newest(const std::string& folder, int64_t step) {
  ranks().barrier();
  const auto newest = newest_checkpoint(folder);
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->step, step);
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_EQ(entry.path().string().find(".partial"), std::string::npos) << entry.path();
  }
  ranks().barrier();
}

TEST(CheckpointOfRanks, OneThatCannotWriteFailsAllAfterTheSamePollAndTheLastIsWhole) {
  const auto session = session_of(9, 0, false);
  for (const bool beside : {false, true}) {
    for (const int failing : {0, ranks().world() - 1}) {
      const SharedFolder folder;
      CheckpointWriter writer(*session, tensors_to_save(session->state()),
                              {.folder = folder.path(), .beside_training = beside}, &ranks());
      EXPECT_EQ(failure_of_save(writer, 1).text, "");
      const auto written = saved_tensors(folder.path() + "/step-00000001");
      EXPECT_EQ(written.size(), 9u);
      Failed failed;
      {
        const NoRoom limit(ranks().rank() == failing);
        failed = failure_of_save(writer, 2);
      }
      expect_parts(failed.text, {folder.path() + "/step-00000002"});
      if (ranks().world() > 1) expect_parts(failed.text, {name_of_rank(failing)});
      for (const std::string& polls : gather_texts(ranks(), std::to_string(failed.polls))) {
        EXPECT_EQ(polls, std::to_string(failed.polls));
      }
      EXPECT_FALSE(writer.in_flight());
      expect_newest(folder.path(), 1);
      EXPECT_TRUE(saved_tensors(folder.path() + "/step-00000001") == written);
      // What went wrong once need not the next time.
      EXPECT_EQ(failure_of_save(writer, 3).text, "");
      expect_newest(folder.path(), 3);
    }
  }
}

TEST(CheckpointOfRanks, AFolderThatCannotBeMadeFailsAll) {
  const auto session = session_of(3, 0, false);
  for (const bool beside : {false, true}) {
    const SharedFolder folder;
    const std::string file = folder.path() + "/checkpoints";
    if (ranks().rank() == 0) write_text(file, "no folder");
    ranks().barrier();
    CheckpointWriter writer(*session, tensors_to_save(session->state()),
                            {.folder = file, .beside_training = beside}, &ranks());
    const Failed failed = failure_of_save(writer, 1);
    expect_parts(failed.text, {file});
    if (ranks().world() > 1) expect_parts(failed.text, {name_of_rank(0)});
    EXPECT_EQ(failed.polls, 0);
    EXPECT_FALSE(writer.in_flight());
    EXPECT_EQ(read_bytes(file), "no folder");
    ranks().barrier();
  }
}

// The limit is there before step 6, when the checkpoint of step 3 is.
TEST(CheckpointOfRanks, ARunEndsOnAllRanksAfterTheSameStepAndTellsWhichCheckpointIsWhole) {
  for (const char* async : {"false", "true"}) {
    const Folder own;
    const SharedFolder output;
    TrainOptions options =
        small_options(own.path(), {"train.batch_size=8", std::string("train.checkpoint_async=") + async});
    options.output = output.path();
    TrainingRun run(prepare_run(options, shared_ranks()));
    const std::string folder = output.path() + "/checkpoints";
    std::unique_ptr<NoRoom> limit;
    const RunObserver observer = {.before_step = [&](int64_t step) {
      // The ranks tell each other between steps what is written.
      if (step == 5 || step == 6) std::this_thread::sleep_for(std::chrono::milliseconds(300));
      if (step != 6) return;
      ASSERT_TRUE(std::filesystem::exists(folder + "/step-00000003"));
      limit = std::make_unique<NoRoom>(ranks().rank() == ranks().world() - 1);
    }};
    std::string text;
    try {
      run.train(observer);
    } catch (const SharedFailure& failure) {
      EXPECT_EQ(failure.status, 1);
      text = failure.text;
    } catch (const RunError& e) {
      EXPECT_EQ(ranks().world(), 1);
      text = e.what();
    }
    limit.reset();
    expect_parts(text, {"the checkpoint of step 6 was not written", "that of step 3 is whole"});
    for (const std::string& step : gather_texts(ranks(), std::to_string(run.step()))) {
      EXPECT_EQ(step, std::to_string(run.step())) << async;
    }
    expect_newest(folder, 3);
    TrainingRun again(prepare_run(options, shared_ranks()));
    EXPECT_EQ(again.resume(), 3);
  }
}

TEST(CheckpointOfRanks, WhatOneAloneHoldsItWritesAndASessionThatHoldsAllReads) {
  const int held_by_all = 2, held_by_one = 2 * ranks().world();
  const auto session = session_of(held_by_all, held_by_one, false);
  const State& state = session->state();
  const std::vector<int32_t> tensors = tensors_to_save(state);
  const std::vector<int32_t> own = written_by(state, tensors, ranks().rank(), ranks().world());
  for (const int32_t t : tensors) {
    if (state[t].owner < 0) continue;
    EXPECT_EQ(std::ranges::count(own, t), state[t].owner == ranks().rank() ? 1 : 0) << state[t].name;
  }
  for (const bool beside : {false, true}) {
    const SharedFolder folder;
    CheckpointWriter writer(*session, tensors, {.folder = folder.path(), .beside_training = beside},
                            &ranks());
    writer.save(1, "{}");
    writer.finish();
    const auto whole = session_of(held_by_all, held_by_one, true);
    for (const int32_t t : tensors) {
      const PersistentInfo& p = whole->state()[t];
      whole->set<float>(p.name, std::vector<float>(elements_of(p.shape), -1));
    }
    load_checkpoint(*newest_checkpoint(folder.path()), *whole, tensors);
    for (const int32_t t : tensors) {
      const PersistentInfo& p = whole->state()[t];
      EXPECT_EQ(whole->get<float>(p.name),
                std::vector<float>(elements_of(p.shape), 0.5f + static_cast<float>(t)))
          << p.name;
    }
  }
}

}  // namespace
}  // namespace lethe::test
