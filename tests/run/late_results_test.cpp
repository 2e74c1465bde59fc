// Results that come one step late: in order, none lost, and none too late for what looks at the weights.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

#include "engine/step_inputs.h"
#include "tests/run/small_run.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

TEST(LateResults, EachComesOnceAndBeforeWhatMeasuresOrSavesItsWeights) {
  const Folder folder;
  TrainingRun run(prepare_run(small_options(folder.path(), {"train.duration=7 steps"})));
  std::vector<std::string> seen;
  int64_t tokens = 0;
  run.train(
      {.on_step =
           [&](const StepRecord& r) {
             seen.push_back(fmt::format("step {}", r.step));
             EXPECT_EQ(r.result.step, r.step);
             EXPECT_EQ(r.steps, 7);
             EXPECT_GT(r.tokens, tokens);
             tokens = r.tokens;
             EXPECT_GT(r.result.loss, 0);
             EXPECT_GT(r.compute_seconds, 0) << "step " << r.step;
             EXPECT_GE(r.data_seconds, 0);
           },
       .on_evaluation = [&](const EvaluationRecord& r) { seen.push_back(fmt::format("eval {}", r.step)); },
       .should_stop =
           [&] {
             seen.push_back(fmt::format("queued {}", run.step()));
             return false;
           }});
  // Evaluations after every second step and the last, checkpoints after every third and the last.
  EXPECT_EQ(seen, (std::vector<std::string>{"eval 0", "queued 1", "step 1", "step 2", "eval 2", "queued 2",
                                            "queued 3", "step 3", "step 4", "eval 4", "queued 4", "queued 5",
                                            "step 5", "step 6", "eval 6", "queued 6", "step 7", "eval 7",
                                            "queued 7"}));
}

// Rows of tokens that never are `avoided`.
TinyBatch batch_without(const ProgramSpec& spec, int32_t avoided) {
  TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  for (int32_t& id : batch.ids)
    id = id == avoided ? (avoided + 1) % static_cast<int32_t>(spec.config.vocab_size) : id;
  return batch;
}

class Diverging : public testing::Test {
 protected:
  static constexpr int32_t kPoisoned = 3;

  // A model that one token of the vocabulary drives out of the numbers.
  std::unique_ptr<TinyRun> poisoned() const {
    auto run = std::make_unique<TinyRun>(spec, 1);
    Session& session = *run->session;
    std::vector<float> embedding = session.get<float>("model.embed_tokens.weight");
    const auto width = static_cast<size_t>(spec.config.hidden_size);
    embedding[kPoisoned * width] = std::numeric_limits<float>::quiet_NaN();
    session.set("model.embed_tokens.weight", embedding);
    return run;
  }
  std::vector<double> rates(const TinyRun& run) const {
    const State& state = run.session->state();
    return std::vector<double>(
        static_cast<size_t>(elements_of(state[state.require(step::learning_rate)].shape)), 1e-2);
  }

  ProgramSpec spec = tiny_spec(DType::f32);
};

TEST_F(Diverging, ThrowsTheStepThatDidAndKeepsTheWeightsBeforeIt) {
  const TinyBatch clean = batch_without(spec, kPoisoned);
  TinyBatch bad = clean;
  bad.ids[1] = kPoisoned;
  const auto run = poisoned(), reference = poisoned();
  Trainer trainer(*run->session, *run->programs.step), one(*reference->session, *reference->programs.step);
  one.step_now({clean.part(0, spec.rows)}, 1, rates(*reference));

  EXPECT_FALSE(trainer.step({clean.part(0, spec.rows)}, 1, rates(*run)));
  const auto first = trainer.step({bad.part(0, spec.rows)}, 2, rates(*run));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->step, 1);
  EXPECT_TRUE(trainer.pending());
  expect_parts(message_of<DivergedError>([&] { trainer.step({clean.part(0, spec.rows)}, 3, rates(*run)); }),
               {"step 2: loss ", "the weights were not changed"});
  EXPECT_FALSE(trainer.pending());
  EXPECT_EQ(differing_tensors(*run->session, *reference->session), std::vector<std::string>{});
}

TEST_F(Diverging, TheLastStepIsFoundAtTheEnd) {
  TinyBatch bad = batch_without(spec, kPoisoned);
  bad.ids[1] = kPoisoned;
  const auto run = poisoned(), untrained = poisoned();
  Trainer trainer(*run->session, *run->programs.step);
  EXPECT_FALSE(trainer.step({bad.part(0, spec.rows)}, 1, rates(*run)));
  EXPECT_THROW(trainer.finish(), DivergedError);
  EXPECT_FALSE(trainer.finish());
  EXPECT_EQ(differing_tensors(*run->session, *untrained->session), std::vector<std::string>{});
}

TEST(LateResults, AreThoseOfWaitingForEach) {
  const ProgramSpec spec = tiny_spec(DType::f32);
  const TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  TinyRun late(spec, 1), waiting(spec, 1);
  const State& state = late.session->state();
  const std::vector<double> rates(
      static_cast<size_t>(elements_of(state[state.require(step::learning_rate)].shape)), 1e-2);
  Trainer a(*late.session, *late.programs.step), b(*waiting.session, *waiting.programs.step);
  std::vector<StepResult> expected, got;
  for (int64_t s = 1; s <= 4; ++s) {
    expected.push_back(b.step_now({batch.part(0, spec.rows)}, s, rates));
    if (const auto result = a.step({batch.part(0, spec.rows)}, s, rates)) got.push_back(*result);
  }
  got.push_back(a.finish().value());
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].step, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(got[i].loss, expected[i].loss);
    EXPECT_EQ(got[i].gradient_norm, expected[i].gradient_norm);
    EXPECT_EQ(got[i].parameters_moved, expected[i].parameters_moved);
  }
}

TEST(LateResults, ABatchWithoutTargetsOrWithRatesThatDoNotFitIsRefusedBeforeItIsQueued) {
  const ProgramSpec spec = tiny_spec(DType::f32);
  TinyBatch batch(spec.rows, spec.tokens, spec.config.vocab_size);
  TinyRun run(spec, 1);
  Trainer trainer(*run.session, *run.programs.step);
  EXPECT_THROW(trainer.step({batch.part(0, spec.rows)}, 1, std::vector<double>(17, 0.1)), ShapeError);
  std::ranges::fill(batch.labels, -100);
  EXPECT_THROW(trainer.step({batch.part(0, spec.rows)}, 1, {1e-2, 1e-2}), DataError);
  EXPECT_FALSE(trainer.pending());
}

}  // namespace
}  // namespace lethe::test
