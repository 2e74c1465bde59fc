// Random numbers are those of engine/rng.h, whatever the matrix's pitch and the number of threads.
#include "kernels/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "engine/rng.h"
#include "tests/kernels/threads.h"

namespace lethe {
namespace {

constexpr uint64_t kSeed = 11;
constexpr uint64_t kStream = stream_of("model.layers.0.self_attn.qkv_proj.weight");

template <class T>
std::vector<T> drawn(int64_t rows, int64_t width, int64_t pitch, bool normal, int threads) {
  const test::Threads team(threads);
  std::vector<T> y(static_cast<size_t>(rows * pitch), static_cast<T>(-7.0f));
  const kernels::Rows<T> to{y.data(), rows, width, pitch};
  if (normal)
    kernels::cpu::normal<T>(to, 0.02, {kSeed, kStream});
  else
    kernels::cpu::uniform<T>(to, 0.02, {kSeed, kStream});
  return y;
}

TEST(Random, IsTheGeneratorsNumberAtEachPosition) {
  const Rng rng(kSeed, kStream);
  for (const auto& [rows, width, pitch] : {std::array<int64_t, 3>{1, 1, 1}, {7, 5, 9}, {3, 1025, 1025}}) {
    const auto normal = drawn<float>(rows, width, pitch, true, 2);
    const auto uniform = drawn<double>(rows, width, pitch, false, 3);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < pitch; ++c) {
        const auto at = static_cast<size_t>(r * pitch + c);
        const auto position = static_cast<uint64_t>(r * width + c);
        const bool inside = c < width;
        ASSERT_EQ(normal[at], inside ? static_cast<float>(0.02 * rng.normal(position)) : -7.0f);
        ASSERT_EQ(uniform[at], inside ? 0.02 * (2 * rng.uniform(position) - 1) : -7.0);
      }
    }
  }
}

TEST(Random, NothingIsDrawnForAnEmptyMatrix) {
  EXPECT_TRUE(drawn<bf16>(0, 5, 5, true, 2).empty());
}

// 300 000 values: the mean of a standard normal is within 5 / sqrt(n) of 0, its second moment within
// 5 sqrt(2 / n) of 1, its fourth within 5 sqrt(96 / n) of 3.
TEST(Random, NormalHasTheMomentsOfANormal) {
  const int64_t n = 300000;
  const auto values = drawn<float>(300, 1000, 1000, true, 2);
  double first = 0, second = 0, fourth = 0;
  for (const float v : values) {
    const double x = static_cast<double>(v) / 0.02;
    first += x;
    second += x * x;
    fourth += x * x * x * x;
  }
  const auto count = static_cast<double>(n);
  EXPECT_NEAR(first / count, 0, 5 / std::sqrt(count));
  EXPECT_NEAR(second / count, 1, 5 * std::sqrt(2 / count));
  EXPECT_NEAR(fourth / count, 3, 5 * std::sqrt(96 / count));
}

}  // namespace
}  // namespace lethe
