// ZeRO-1: the bits of a run that shares nothing out, with a part of its memory.
#include <gtest/gtest.h>

#include <numeric>

#include "engine/checkpoint.h"
#include "engine/host_values.h"
#include "tests/distributed/shared.h"
#include "tests/run/small_run.h"
#include "tools/run/training_run.h"

namespace lethe::test {
namespace {

using Strings = std::vector<std::string>;
const char* const kLast = "/checkpoints/step-00000008";

struct Case {
  const char* name;
  Strings assignments;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

const Case kCases[] = {
    {"full float32", {"precision=float32"}},
    {"full float64", {"precision=float64"}},
    {"full bfloat16", {"precision=bfloat16"}},
    {"full bfloat16, rounded at random", {"precision=bfloat16", "optimizer.state=bfloat16"}},
    {"lion", {"optimizer.name=lion", "optimizer.learning_rate=0.001"}},
    {"lora", {"method=lora", "lora.rank=3", "lora.dropout=0.2"}},
    {"lora bfloat16", {"method=lora", "lora.rank=3", "precision=bfloat16"}},
};

class Zero1 : public testing::TestWithParam<Case> {
 protected:
  // All ranks' output lies in the first one's folder, their caches in their own.
  TrainOptions options(const std::string& sharding, const std::string& output = "") const {
    Strings assignments = GetParam().assignments;
    for (const char* a : {"train.batch_size=7", "train.micro_batch_size=1", "train.max_gradient_norm=0.5",
                          "optimizer.weight_decay=0.1"})
      assignments.emplace_back(a);
    assignments.push_back("distributed.sharding=" + sharding);
    TrainOptions made = small_options(folder_.path(), assignments);
    made.output = output;
    return made;
  }

  std::unique_ptr<TrainingRun> run(const TrainOptions& o) const {
    return std::make_unique<TrainingRun>(prepare_run(o, shared_ranks()));
  }

 private:
  Folder folder_;
};

std::vector<StepResult> train(TrainingRun& run, int64_t stop_after = 0) {
  std::vector<StepResult> steps;
  run.train({.on_step = [&](const StepRecord& r) { steps.push_back(r.result); },
             .should_stop = [&] { return run.step() == stop_after; }});
  return steps;
}

int64_t optimizer_bytes(TrainingRun& run) {
  return run.session().plan().persistent_by_kind[static_cast<size_t>(Kind::optimizer)];
}

TEST_P(Zero1, HasTheBitsOfARunThatSharesNothingOut) {
  const auto whole = run(options("none")), sharded = run(options("zero1"));
  const std::vector<StepResult> expected = train(*whole), found = train(*sharded);
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].loss, expected[i].loss) << i;
    EXPECT_EQ(found[i].gradient_norm, expected[i].gradient_norm) << i;
    EXPECT_EQ(found[i].parameters_moved, expected[i].parameters_moved) << i;
  }
  const State& state = sharded->session().state();
  for (const int32_t t : tensors_to_save(state)) {
    if (state[t].absent || !is_float(state[t].dtype)) continue;
    EXPECT_TRUE(host_values(sharded->session(), state[t].name) ==
                host_values(whole->session(), state[t].name))
        << state[t].name;
  }
}

TEST_P(Zero1, KeepsEachStateOnOneRankAlone) {
  const auto whole = run(options("none")), sharded = run(options("zero1"));
  const int64_t all = optimizer_bytes(*whole), mine = optimizer_bytes(*sharded);
  int64_t sum = mine;
  ranks().all_reduce(&sum, DType::i64, 1);
  EXPECT_EQ(sum, all);
  // The largest tensor is what a rank may have beyond its share.
  int64_t largest = 0;
  const State& state = whole->session().state();
  for (const int32_t p : state.trainable()) largest = std::max(largest, elements_of(state[p].shape));
  EXPECT_LE(mine, all / ranks().world() + 16 * largest);
  if (ranks().world() > 1) {
    EXPECT_LT(sharded->session().plan().arena_bytes, whole->session().plan().arena_bytes);
  }
}

TEST_P(Zero1, WritesTheCheckpointOfARunThatSharesNothingOut) {
  const SharedFolder whole, sharded;
  for (const auto& [folder, sharding] : {std::pair(&whole, "none"), {&sharded, "zero1"}}) {
    const auto made = run(options(sharding, folder->path()));
    train(*made);
  }
  const auto expected = saved_tensors(whole.path() + kLast);
  EXPECT_GT(expected.size(), 20u);
  EXPECT_TRUE(saved_tensors(sharded.path() + kLast) == expected);
}

TEST_P(Zero1, GoesOnFromACheckpointOfTheOtherShardingBitForBit) {
  const SharedFolder never_stopped, stopped;
  train(*run(options("none", never_stopped.path())));
  const char* shardings[] = {"zero1", "none", "zero1"};
  for (int64_t i = 0; i < 3; ++i) {
    const auto made = run(options(shardings[i], stopped.path()));
    EXPECT_EQ(made->resume(), 3 * i);
    train(*made, i < 2 ? 3 * (i + 1) : 0);
  }
  EXPECT_TRUE(saved_tensors(stopped.path() + kLast) == saved_tensors(never_stopped.path() + kLast));
}

INSTANTIATE_TEST_SUITE_P(All, Zero1, testing::ValuesIn(kCases),
                         [](const auto& one) { return std::to_string(one.index); });

}  // namespace
}  // namespace lethe::test
