#include "kernels/rope.h"

#include <numbers>

#include "tests/kernels/reference.h"

namespace lethe::test {
namespace {

class Rope : public KernelTest {};

std::vector<double> frequencies(double theta, int64_t head_dim, const RopeScaling& scaling) {
  std::vector<double> f(static_cast<size_t>(head_dim / 2));
  kernels::rope_frequencies(theta, head_dim, scaling, f.data());
  return f;
}

TEST_F(Rope, TurnsPairsHalfAHeadApart) {
  const std::vector<double> f = frequencies(10000, 4, {});
  ASSERT_EQ(f.size(), 2u);
  EXPECT_DOUBLE_EQ(f[0], 1);
  EXPECT_DOUBLE_EQ(f[1], 0.01);
  std::vector<double> table(8 * 4);
  kernels::rope_table(f.data(), 1, 8, 4, table.data());
  const Matrix<double> x(2, 8, 9, 1);
  Matrix<double> y(2, 8, 11);
  const std::vector<int32_t> positions{7, 3};
  kernels::cpu::rope<double>(x.view(), positions.data(), table.data(), 2, 4, false, y.rows());
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t j = 0; j < 2; ++j) {
        const double angle = positions[static_cast<size_t>(i)] * f[static_cast<size_t>(j)];
        const double a = x(i, h * 4 + j), b = x(i, h * 4 + j + 2);
        // Two products and a sum: three roundings of values below the pair's length.
        const double bound = 4 * 0x1p-53 * std::hypot(a, b);
        EXPECT_NEAR(y(i, h * 4 + j), a * std::cos(angle) - b * std::sin(angle), bound);
        EXPECT_NEAR(y(i, h * 4 + j + 2), b * std::cos(angle) + a * std::sin(angle), bound);
      }
    }
  }
  EXPECT_TRUE(y.padding_untouched());
}

template <class T>
void expect_turns_back() {
  const std::vector<double> f = frequencies(10000, 6, {});
  std::vector<compute_t<T>> table(1000 * 6);
  kernels::rope_table(f.data(), 1, 1000, 6, table.data());
  const Matrix<T> x(70, 18, 20, 1);
  Matrix<T> y = x;
  std::vector<int32_t> positions;
  for (int i = 0; i < 70; ++i) positions.push_back(i * 14 % 1000);
  kernels::cpu::rope<T>(y.view(), positions.data(), table.data(), 3, 6, false, y.rows());
  EXPECT_FALSE(y.same_bits(x));
  kernels::cpu::rope<T>(y.view(), positions.data(), table.data(), 3, 6, true, y.rows());
  // Two turns of three roundings each in the compute type and one of the table, and two in the storage type,
  // of values of size up to 5 (normal numbers, pairs).
  const double bound = 5 * (12 * rounding<compute_t<T>>() + 2 * rounding<T>());
  for (int64_t i = 0; i < 70; ++i)
    for (int64_t j = 0; j < 18; ++j) ASSERT_NEAR(y(i, j), x(i, j), bound);
}

TEST_F(Rope, InPlaceAndBackGivesTheSameValues) {
  expect_turns_back<double>();
  expect_turns_back<float>();
  expect_turns_back<bf16>();
}

TEST_F(Rope, LinearScalingDividesEveryFrequency) {
  const auto plain = frequencies(10000, 64, {});
  const auto scaled = frequencies(10000, 64, {.type = RopeScaling::Type::linear, .factor = 4});
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_DOUBLE_EQ(scaled[i], plain[i] / 4);
}

TEST_F(Rope, Llama3ScalingKeepsShortWavesAndStretchesLongOnes) {
  const RopeScaling s{.type = RopeScaling::Type::llama3,
                      .factor = 8,
                      .original_max_position_embeddings = 8192,
                      .low_freq_factor = 1,
                      .high_freq_factor = 4};
  const auto plain = frequencies(500000, 128, {}), scaled = frequencies(500000, 128, s);
  int kept = 0, stretched = 0, mixed = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    const double wavelength = 2 * std::numbers::pi / plain[i];
    if (wavelength < 2048) {
      EXPECT_EQ(scaled[i], plain[i]);
      ++kept;
    } else if (wavelength > 8192) {
      EXPECT_DOUBLE_EQ(scaled[i], plain[i] / 8);
      ++stretched;
    } else {
      // At w = L / 2.5, half-way between the bounds, both count half: the frequency's share is (L/w - 1) / 3.
      const double share = (8192 / wavelength - 1) / 3;
      EXPECT_DOUBLE_EQ(scaled[i], plain[i] / 8 + share * (plain[i] - plain[i] / 8));
      ++mixed;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(stretched, 0);
  EXPECT_GT(mixed, 0);
}

TEST_F(Rope, YarnScalingMixesByTurnsWithinTheOriginalLength) {
  const RopeScaling s{
      .type = RopeScaling::Type::yarn, .factor = 16, .original_max_position_embeddings = 4096};
  const int64_t d = 128;
  const auto plain = frequencies(10000, d, {}), scaled = frequencies(10000, d, s);
  // The index j whose wave turns r times within L: L f_j / (2 pi) = r. For d 128, theta 10000 and L 4096
  // those of 32 and 1 turns are 20.94 and 45.03.
  for (size_t j = 0; j < plain.size(); ++j) {
    const double ramp = std::min(1.0, std::max(0.0, (static_cast<double>(j) - 20) / (46 - 20)));
    EXPECT_NEAR(scaled[j], plain[j] * (ramp / 16 + 1 - ramp), 1e-15 * plain[j]);
  }
  EXPECT_DOUBLE_EQ(kernels::rope_attention_factor(s), 0.1 * std::log(16) + 1);
}

TEST_F(Rope, YarnsAttentionFactorMayBeGivenOrComeFromItsScales) {
  RopeScaling s{.type = RopeScaling::Type::yarn, .factor = 4, .original_max_position_embeddings = 64};
  s.mscale = 2;
  s.mscale_all_dim = 1;
  EXPECT_DOUBLE_EQ(kernels::rope_attention_factor(s), (0.2 * std::log(4) + 1) / (0.1 * std::log(4) + 1));
  s.attention_factor = 0.5;
  EXPECT_EQ(kernels::rope_attention_factor(s), 0.5);
  EXPECT_EQ(kernels::rope_attention_factor({.type = RopeScaling::Type::linear, .factor = 4}), 1);
  const std::vector<double> f = frequencies(10000, 2, {});
  std::vector<float> table(2);
  kernels::rope_table(f.data(), 0.5, 1, 2, table.data());
  EXPECT_EQ(table, (std::vector<float>{0.5f, 0.0f}));
}

}  // namespace
}  // namespace lethe::test
