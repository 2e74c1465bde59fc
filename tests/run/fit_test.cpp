// What a plan that does not fit is told would.
#include "tools/run/fit.h"

#include <gtest/gtest.h>

#include "tests/files.h"
#include "tests/run/tiny_model.h"

namespace lethe::test {
namespace {

// Activations outweigh the weights, so that recomputation pays.
ProgramSpec long_spec() {
  ProgramSpec spec = tiny_spec(DType::f32);
  spec.config.num_hidden_layers = 6;
  spec.config.max_position_embeddings = 256;
  spec.rows = 4;
  spec.tokens = 128;
  spec.accumulate = false;
  return spec;
}

int64_t bytes_with(ProgramSpec spec, Recompute recompute, int64_t rows) {
  spec.recompute = recompute;
  spec.accumulate = rows < spec.rows;
  spec.rows = rows;
  return planned_bytes(spec, {});
}

TEST(Fit, IsTheFirstPolicyThatFits) {
  const ProgramSpec spec = long_spec();
  for (const Recompute policy : {Recompute::norms, Recompute::mlp, Recompute::block}) {
    const int64_t budget = bytes_with(spec, policy, spec.rows);
    const auto fit = cheapest_fit(spec, {}, budget);
    ASSERT_TRUE(fit);
    EXPECT_EQ(fit->rows, spec.rows);
    EXPECT_LE(fit->recompute, policy);
    EXPECT_LE(fit->arena_bytes, budget);
    EXPECT_EQ(fit->arena_bytes, bytes_with(spec, fit->recompute, spec.rows));
    for (int cheaper = 1; cheaper < static_cast<int>(fit->recompute); ++cheaper) {
      EXPECT_GT(bytes_with(spec, static_cast<Recompute>(cheaper), spec.rows), budget);
    }
  }
  EXPECT_LT(bytes_with(spec, Recompute::block, 4), bytes_with(spec, Recompute::none, 4) * 9 / 10);
}

TEST(Fit, IsASmallerMicroBatchWhereNoPolicyDoes) {
  const ProgramSpec spec = long_spec();
  int64_t least = bytes_with(spec, Recompute::none, 4);
  for (const Recompute policy : {Recompute::norms, Recompute::mlp, Recompute::block}) {
    least = std::min(least, bytes_with(spec, policy, 4));
  }
  const auto fit = cheapest_fit(spec, {}, least - 1);
  ASSERT_TRUE(fit);
  EXPECT_EQ(fit->rows, 2);
  EXPECT_LT(fit->arena_bytes, least);
  expect_parts(fit_text(spec, {}, least - 1),
               {"needs ", " of ", "train.micro_batch_size: 2 with train.recompute: ", " would fit ("});
  EXPECT_FALSE(cheapest_fit(spec, {}, 1000));
  expect_parts(fit_text(spec, {}, 1000), {"no way to recompute and no smaller micro-batch would fit"});
}

TEST(Fit, IsPartOfTheRefusal) {
  const ProgramSpec spec = long_spec();
  const int64_t budget = bytes_with(spec, Recompute::block, spec.rows);
  Programs programs = record_programs(spec);
  const std::string plan = message_of<MemoryError>([&] { plan_within(programs, spec, Device{}, budget); });
  const std::string session = message_of<MemoryError>(
      [&] { make_session(programs, spec, make_cpu_backend({.threads = 1}), budget); });
  expect_parts(plan, {"does not fit: it asks for ", "; the run needs ", "train.recompute: ", " would fit ("});
  EXPECT_EQ(plan, session);
}

}  // namespace
}  // namespace lethe::test
