// ZeRO: the bits of a run that shares nothing out, with a part of its memory.
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

class Sharded : public testing::TestWithParam<std::tuple<Case, const char*>> {
 protected:
  static std::string level() { return std::get<1>(GetParam()); }

  // All ranks' output lies in the first one's folder, their caches in their own. zero2 and zero3 sum after
  // each micro-batch, the others where train.deterministic asks for it.
  TrainOptions options(const std::string& sharding, const std::string& output = "") const {
    Strings assignments = std::get<0>(GetParam()).assignments;
    for (const char* a : {"train.batch_size=7", "train.micro_batch_size=1", "train.max_gradient_norm=0.5",
                          "optimizer.weight_decay=0.1", "distributed.bucket_mb=0"})
      assignments.emplace_back(a);
    if (level() != "zero1") assignments.emplace_back("train.deterministic=true");
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

int64_t bytes_kept(TrainingRun& run, Kind kind) {
  return run.session().plan().persistent_by_kind[static_cast<size_t>(kind)];
}

TEST_P(Sharded, HasTheBitsOfARunThatSharesNothingOut) {
  const auto whole = run(options("none")), sharded = run(options(level()));
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

TEST_P(Sharded, KeepsOnOneRankAloneWhatItSharesOut) {
  const auto whole = run(options("none")), sharded = run(options(level()));
  const State& state = whole->session().state();
  int64_t largest = 0;
  for (int32_t i = 0; i < state.size(); ++i) {
    if (state[i].kind == Kind::weight) largest = std::max(largest, elements_of(state[i].shape));
  }
  const std::vector<Kind> kinds{Kind::optimizer, Kind::gradient, Kind::weight};
  for (size_t k = 0; k < kinds.size(); ++k) {
    const int64_t all = bytes_kept(*whole, kinds[k]), mine = bytes_kept(*sharded, kinds[k]);
    if (k > static_cast<size_t>(level().back() - '1')) {
      EXPECT_EQ(mine, all) << name_of(kinds[k]);
      continue;
    }
    int64_t sum = mine;
    ranks().all_reduce(&sum, DType::i64, 1);
    EXPECT_EQ(sum, all) << name_of(kinds[k]);
    // The largest tensor is what a rank may have beyond its share.
    EXPECT_LE(mine, all / ranks().world() + 16 * largest) << name_of(kinds[k]);
  }
  if (ranks().world() > 1) {
    EXPECT_LT(sharded->session().plan().persistent_bytes, whole->session().plan().persistent_bytes);
  }
}

TEST_P(Sharded, EvaluatesAndExportsAsOneThatSharesNothingOut) {
  const SharedFolder folder;
  const auto whole = run(options("none", folder.path())), sharded = run(options(level(), folder.path()));
  train(*whole);
  train(*sharded);
  const std::vector<Evaluation> expected = whole->evaluate_all(), found = sharded->evaluate_all();
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(found[i].loss, expected[i].loss);
  const std::string file = std::get<0>(GetParam()).assignments.front() == "method=lora"
                               ? "/adapter_model.safetensors"
                               : "/model.safetensors";
  whole->export_model(folder.path() + "/whole");
  sharded->export_model(folder.path() + "/sharded");
  ranks().barrier();
  EXPECT_TRUE(read_bytes(folder.path() + "/sharded" + file) == read_bytes(folder.path() + "/whole" + file));
}

TEST_P(Sharded, WritesTheCheckpointOfARunThatSharesNothingOut) {
  const SharedFolder whole, sharded;
  for (const auto& [folder, sharding] : {std::pair(&whole, std::string("none")), {&sharded, level()}}) {
    const auto made = run(options(sharding, folder->path()));
    train(*made);
  }
  const auto expected = saved_tensors(whole.path() + kLast);
  EXPECT_GT(expected.size(), 20u);
  EXPECT_TRUE(saved_tensors(sharded.path() + kLast) == expected);
}

TEST_P(Sharded, GoesOnFromACheckpointOfTheOtherShardingBitForBit) {
  const SharedFolder never_stopped, stopped;
  train(*run(options("none", never_stopped.path())));
  const std::string shardings[] = {level(), "none", level()};
  for (int64_t i = 0; i < 3; ++i) {
    const auto made = run(options(shardings[i], stopped.path()));
    EXPECT_EQ(made->resume(), 3 * i);
    train(*made, i < 2 ? 3 * (i + 1) : 0);
  }
  EXPECT_TRUE(saved_tensors(stopped.path() + kLast) == saved_tensors(never_stopped.path() + kLast));
}

INSTANTIATE_TEST_SUITE_P(
    All, Sharded, testing::Combine(testing::ValuesIn(kCases), testing::Values("zero1", "zero2", "zero3")),
    [](const auto& one) { return std::to_string(one.index / 3) + "_" + std::get<1>(one.param); });

}  // namespace
}  // namespace lethe::test
