#include "tools/spectrum/spectrum.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/error.h"
#include "tools/spectrum/svd.h"

namespace lethe {
namespace {

// Values in (-1, 1) without pattern; the same on every machine.
std::vector<double> noise(int64_t count, uint64_t seed) {
  std::vector<double> values(static_cast<size_t>(count));
  uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
  for (double& value : values) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    value = static_cast<double>(state >> 11) / 4503599627370496.0 - 1;
  }
  return values;
}

std::vector<double> product(int64_t rows, int64_t inner, int64_t columns, const std::vector<double>& a,
                            const std::vector<double>& b) {
  std::vector<double> c(static_cast<size_t>(rows * columns), 0.0);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < inner; ++k) {
      for (int64_t j = 0; j < columns; ++j) {
        c[static_cast<size_t>(i * columns + j)] +=
            a[static_cast<size_t>(i * inner + k)] * b[static_cast<size_t>(k * columns + j)];
      }
    }
  }
  return c;
}

TEST(Svd, TheLargestPartsAreFoundWithoutTheRest) {
  for (const auto& [rows, columns, rank] :
       {std::tuple<int64_t, int64_t, int64_t>{40, 60, 3}, {60, 40, 8}, {7, 5, 5}, {5, 9, 20}}) {
    // Values that fall by a third each: (1/3)^(4 * 6 + 2) is below the roundings.
    const int64_t k = std::min(rows, columns);
    Svd made = singular_value_decomposition(rows, columns, noise(rows * columns, 5).data());
    std::vector<double> scaled = made.right_transposed;
    for (int64_t i = 0; i < k * columns; ++i)
      scaled[static_cast<size_t>(i)] *= std::pow(3.0, static_cast<double>(-(i / columns)));
    const std::vector<double> a = product(rows, k, columns, made.left, scaled);
    const Svd top = truncated_svd(rows, columns, a.data(), rank, 6, {1, 2});
    const int64_t found = std::min(rank, k);
    ASSERT_EQ(std::ssize(top.values), found);
    ASSERT_EQ(std::ssize(top.left), rows * found);
    std::vector<double> parts = top.right_transposed;
    for (int64_t i = 0; i < found * columns; ++i)
      parts[static_cast<size_t>(i)] *= top.values[static_cast<size_t>(i / columns)];
    const std::vector<double> back = product(rows, found, columns, top.left, parts);
    double squares = 0;
    for (size_t i = 0; i < a.size(); ++i) squares += (a[i] - back[i]) * (a[i] - back[i]);
    double rest = 0;  // what no matrix of that rank can take away (Eckart, Young 1936)
    for (int64_t i = found; i < k; ++i) rest += std::pow(9.0, static_cast<double>(-i));
    EXPECT_NEAR(std::sqrt(squares), std::sqrt(rest), 1e-13) << rows << " x " << columns;
    for (int64_t i = 0; i < found; ++i)
      EXPECT_NEAR(top.values[static_cast<size_t>(i)], std::pow(3.0, static_cast<double>(-i)), 1e-13);
  }
}

TEST(Svd, OfADiagonalMatrixIsItsEntriesDescending) {
  const std::vector<double> a{0, 3, 0, 0, 0, -5, 1, 0, 0};
  const std::vector<double> values = singular_values(3, 3, a.data());
  ASSERT_EQ(values.size(), 3u);
  EXPECT_NEAR(values[0], 5, 1e-14);
  EXPECT_NEAR(values[1], 3, 1e-14);
  EXPECT_NEAR(values[2], 1, 1e-14);
}

TEST(Svd, VectorsGiveTheMatrixBackAtAwkwardShapes) {
  for (const auto& [rows, columns] :
       {std::pair<int64_t, int64_t>{1, 1}, {1, 7}, {7, 1}, {5, 9}, {33, 17}, {64, 64}}) {
    const std::vector<double> a = noise(rows * columns, 3);
    const Svd svd = singular_value_decomposition(rows, columns, a.data());
    const auto k = static_cast<int64_t>(svd.values.size());
    ASSERT_EQ(k, std::min(rows, columns));
    std::vector<double> scaled = svd.right_transposed;
    for (int64_t i = 0; i < k * columns; ++i)
      scaled[static_cast<size_t>(i)] *= svd.values[static_cast<size_t>(i / columns)];
    const std::vector<double> back = product(rows, k, columns, svd.left, scaled);
    // Backward error of an SVD: a modest multiple of the side times epsilon times the norm (at most 64 here).
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_NEAR(back[i], a[i], 64 * 64 * 2.3e-16 * 8) << rows << "x" << columns;
    const std::vector<double> alone = singular_values(rows, columns, a.data());
    for (size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(alone[i], svd.values[i], 1e-12);
  }
}

TEST(Svd, EmptyZeroAndNotFinite) {
  EXPECT_TRUE(singular_values(0, 5, nullptr).empty());
  EXPECT_THROW(singular_values(-1, 5, nullptr), ShapeError);
  const std::vector<double> zero(12, 0.0);
  EXPECT_EQ(singular_values(3, 4, zero.data()), std::vector<double>(3, 0.0));
  std::vector<double> bad = noise(12, 1);
  bad[7] = std::numeric_limits<double>::quiet_NaN();
  try {
    singular_values(3, 4, bad.data());
    FAIL() << "a NaN went through";
  } catch (const RunError& error) {
    EXPECT_NE(std::string(error.what()).find("(1, 3)"), std::string::npos) << error.what();
  }
}

TEST(Spectrum, RankForVarianceIsTheLeastThatReachesIt) {
  EXPECT_EQ(rank_for_variance({3, 1}, 0.9), 1) << "9 of 10 is 90%";
  EXPECT_EQ(rank_for_variance({3, 1}, 0.91), 2);
  EXPECT_EQ(rank_for_variance({1, 1, 1, 1}, 0.5), 2);
  EXPECT_EQ(rank_for_variance({1, 1, 1, 1}, 1), 4);
  EXPECT_EQ(rank_for_variance({}, 0.9), 0);
  EXPECT_EQ(rank_for_variance({0, 0}, 0.9), 0);
  EXPECT_EQ(rank_for_variance({3e-200, 1e-200}, 0.91), 2) << "squares would vanish";
  EXPECT_THROW(rank_for_variance({1}, 0), RequestError);
  EXPECT_THROW(rank_for_variance({1}, 1.1), RequestError);
}

TEST(Spectrum, StableRankAndNorm) {
  EXPECT_DOUBLE_EQ(stable_rank({2, 2, 2}), 3);
  EXPECT_DOUBLE_EQ(stable_rank({2, 1}), 1.25);
  EXPECT_EQ(stable_rank({0, 0}), 0);
  EXPECT_DOUBLE_EQ(frobenius_norm({3, 4}), 5);
  EXPECT_EQ(frobenius_norm({}), 0);
}

TEST(Spectrum, ALoraProductHasNoMoreThanItsRank) {
  const int64_t rows = 48, columns = 80, rank = 5;
  const std::vector<double> change =
      product(rows, rank, columns, noise(rows * rank, 1), noise(rank * columns, 2));
  const std::vector<double> values = singular_values(rows, columns, change.data());
  EXPECT_LE(rank_for_variance(values, 0.9), rank);
  EXPECT_GT(values[rank - 1], 1e-3 * values[0]);
  // What is left after the rank is rounding: some sides times epsilon of the largest.
  EXPECT_LT(values[rank], 80 * 2.3e-16 * 4 * values[0]);
}

TEST(Spectrum, IntrudersAreDirectionsTheBaseDidNotHave) {
  const int64_t n = 40;
  const std::vector<double> base = noise(n * n, 5);
  EXPECT_EQ(intruder_dimensions(n, n, base.data(), base.data()), 0);
  std::vector<double> scaled = base;
  for (double& value : scaled) value *= -3;
  EXPECT_EQ(intruder_dimensions(n, n, base.data(), scaled.data()), 0) << "the sign of a vector is arbitrary";
  // A large change along one direction mixed evenly from all left vectors: |cos| = 1/sqrt(40) = 0.16 with
  // each.
  const Svd svd = singular_value_decomposition(n, n, base.data());
  std::vector<double> tuned = base;
  for (int64_t i = 0; i < n; ++i) {
    double y = 0;
    for (int64_t k = 0; k < n; ++k)
      y += svd.left[static_cast<size_t>(i * n + k)] / std::sqrt(static_cast<double>(n));
    for (int64_t j = 0; j < n; ++j)
      tuned[static_cast<size_t>(i * n + j)] += 1e6 * y / std::sqrt(static_cast<double>(n));
  }
  EXPECT_EQ(intruder_dimensions(n, n, base.data(), tuned.data(), 1, 0.5), 1);
  EXPECT_EQ(intruder_dimensions(n, n, base.data(), tuned.data(), 1, 0.1), 0);
  const std::vector<double> zero(static_cast<size_t>(n * n), 0.0);
  EXPECT_EQ(intruder_dimensions(n, n, base.data(), zero.data()), 0);
}

}  // namespace
}  // namespace lethe
