#include "tools/run/tuning.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/files.h"

namespace lethe::test {
namespace {

using kernels::MatmulTuning;
using kernels::MatmulType;

std::vector<MatmulTuning> sample() {
  MatmulTuning timed{.uses = 32, .first_us = 1164, .best_us = 1122, .which = 4, .candidates = 38};
  timed.product = {.types = {MatmulType::bf16, MatmulType::bf16, MatmulType::f32},
                   .m = 8192,
                   .n = 12288,
                   .k = 4096,
                   .write = kernels::Write::accumulate};
  MatmulTuning kept{.product = timed.product, .uses = 2, .not_timed = "kept", .best_us = 500};
  return {timed, kept};
}

TEST(Tuning, IsALineAProduct) {
  expect_parts(tuning_line(sample()[0]),
               {"nt bf16 bf16 f32 +=", "8192 x 12288 x 4096", "1164.0", "1122.0", "4/38", "3.7%", "735"});
  EXPECT_EQ(tuning_line(sample()[0]).size(), tuning_title().size());
  expect_parts(tuning_line(sample()[1]), {"8192 x 12288 x 4096", "kept"});
}

TEST(Tuning, NamesAnAlgorithmOfOurOwn) {
  MatmulTuning own = sample()[0];
  own.choice.algorithm = kernels::encoded(kernels::OwnAlgorithm{128, 4});
  expect_parts(tuning_line(own), {"own/38", "3.7%"});
  EXPECT_EQ(tuning_json({own})[0].at("own"), "own 128 4");
}

// 32 * 1122 + 2 * 500 us, and 32 * 42 us less than untuned.
TEST(Tuning, AddsUpWhatWasGained) {
  expect_parts(tuning_summary(sample()), {"1 of 2", "36.90 ms", "1.34 ms"});
}

TEST(Tuning, IsJsonOfTheSameRows) {
  const nlohmann::json rows = tuning_json(sample());
  EXPECT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].at("product"), text_of(sample()[0].product));
  EXPECT_EQ(rows[0].at("untuned_us"), 1164);
  EXPECT_EQ(rows[0].at("best_us"), 1122);
  EXPECT_NEAR(rows[0].at("tflops").get<double>(), 735, 1);
  EXPECT_FALSE(rows[0].contains("not_timed"));
  EXPECT_EQ(rows[1].at("not_timed"), "kept");
  EXPECT_FALSE(rows[1].contains("which"));
}

}  // namespace
}  // namespace lethe::test
