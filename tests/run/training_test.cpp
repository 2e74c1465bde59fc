// Training as a whole: the same bits from any number of threads, and a loss that goes where it must.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/checkpoint.h"
#include "engine/rng.h"
#include "engine/step_inputs.h"
#include "tests/run/small_run.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

// Rows of one document each, of random tokens that predict each other.
TinyBatch plain_batch(int64_t rows, int64_t tokens, int64_t vocab_size) {
  TinyBatch batch(rows, tokens, vocab_size);
  for (size_t i = 0; i < batch.ids.size(); ++i) {
    const auto column = static_cast<int64_t>(i) % tokens;
    batch.labels[i] = column + 1 < tokens ? batch.ids[i + 1] : -100;
    batch.positions[i] = static_cast<int32_t>(column);
    batch.document_start[i] = 0;
  }
  return batch;
}

// The same rate for each of the run's parameter groups.
std::vector<double> rates(const TinyRun& run, double rate) {
  const State& state = run.session->state();
  return std::vector<double>(
      static_cast<size_t>(elements_of(state[state.require(step::learning_rate)].shape)), rate);
}

// Large enough that every kernel cuts its work into several pieces.
ProgramSpec wide_spec(bool lora) {
  ProgramSpec spec = tiny_spec(DType::f32);
  spec.config.vocab_size = 1031;
  spec.config.hidden_size = 256;
  spec.config.intermediate_size = 640;
  spec.config.num_attention_heads = 8;
  spec.config.num_key_value_heads = 4;
  spec.config.head_dim = 32;
  spec.config.max_position_embeddings = 128;
  spec.config.initializer_range = 0.02;
  spec.rows = 4;
  spec.tokens = 128;
  spec.optimizer = OptimizerOptions{.learning_rate = 1e-3, .weight_decay = 0.1};
  if (lora) spec.lora = tiny_lora(8, 0.1);
  return spec;
}

TEST(Threads, ThreeStepsGiveTheSameWeightsAndOptimizerBits) {
  for (const bool lora : {false, true}) {
    const ProgramSpec spec = wide_spec(lora);
    const TinyBatch batch = plain_batch(spec.rows, spec.tokens, spec.config.vocab_size);
    const auto trained = [&](int threads) {
      auto run = std::make_unique<TinyRun>(spec, threads);
      Trainer trainer(*run->session, *run->programs.step);
      for (int64_t s = 1; s <= 3; ++s) trainer.step_now({batch.part(0, spec.rows)}, s, rates(*run, 1e-3));
      return run;
    };
    const auto one = trained(1), two = trained(2), four = trained(4),
               untrained = std::make_unique<TinyRun>(spec, 1);
    EXPECT_EQ(differing_tensors(*one->session, *two->session), std::vector<std::string>{});
    EXPECT_EQ(differing_tensors(*one->session, *four->session), std::vector<std::string>{});
    EXPECT_EQ(differing_tensors(*one->session, *untrained->session).size(),
              tensors_to_save(one->session->state()).size());
  }
}

TEST(Overfitting, AMillionParametersLearnOneBatchByHeart) {
  ProgramSpec spec = tiny_spec(DType::f32);
  spec.config.vocab_size = 512;
  spec.config.hidden_size = 128;
  spec.config.intermediate_size = 352;
  spec.config.num_hidden_layers = 4;
  spec.config.head_dim = 32;
  spec.config.initializer_range = 0.02;
  spec.rows = 4;
  spec.tokens = 32;
  spec.optimizer = OptimizerOptions{.learning_rate = 2e-3};
  const int64_t parameters = parameter_count(spec.config);
  EXPECT_NEAR(static_cast<double>(parameters), 1e6, 1.5e5);
  TinyRun run(spec, 1);
  const TinyBatch batch = plain_batch(spec.rows, spec.tokens, spec.config.vocab_size);
  Trainer trainer(*run.session, *run.programs.step);
  double first = 0, loss = 0;
  int64_t steps = 0;
  while (steps < 150 && (steps == 0 || loss >= 0.01)) {
    ++steps;
    loss = trainer.step_now({batch.part(0, spec.rows)}, steps, rates(run, 2e-3)).loss;
    if (steps == 1) first = loss;
  }
  EXPECT_NEAR(first, std::log(512.0), 0.3) << "an untrained model knows nothing";
  EXPECT_LT(loss, 0.01) << "after " << steps << " steps";
  std::printf("%lld parameters, loss %.4f after %lld steps\n", static_cast<long long>(parameters), loss,
              static_cast<long long>(steps));
}

}  // namespace
}  // namespace lethe::test
