#include "kernels/cross_entropy.h"

#include "kernels/cpu/vector_exp.h"
#include "tests/kernels/reference.h"

namespace lethe::test {
namespace {

using kernels::Write;

class CrossEntropy : public KernelTest {};

TEST_F(CrossEntropy, ItsExponentialIsRightToTwoUnitsInTheLastPlace) {
  double worst = 0;
  for (int i = -79990; i <= 79990; i += 7) {
    const float x = static_cast<float>(i) * 1e-3f;
    const double exact = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(kernels::cpu::vector_exp(x)) - exact) / exact);
  }
  EXPECT_LE(worst, 2 * 0x1p-23);
  EXPECT_EQ(kernels::cpu::vector_exp(0.0f), 1.0f);
  EXPECT_LT(kernels::cpu::vector_exp(-1e30f), 2e-35f);
  EXPECT_TRUE(std::isnan(kernels::cpu::vector_exp(std::numeric_limits<float>::quiet_NaN())));
}

template <class T>
struct Case {
  int64_t rows, width;
  Matrix<T> logits;
  std::vector<int32_t> labels;
  std::vector<compute_t<T>> dlosses;

  Case(int64_t rows_, int64_t width_, double spread)
      : rows(rows_), width(width_), logits(rows, width, width + 3, 1, spread) {
    for (int64_t i = 0; i < rows; ++i) {
      labels.push_back(i % 4 == 2 ? kernels::kIgnoredLabel : static_cast<int32_t>(i * 13 % width));
      dlosses.push_back(static_cast<compute_t<T>>(0.25 + 0.5 * static_cast<double>(i % 3)));
    }
  }
  std::pair<std::vector<compute_t<T>>, std::vector<compute_t<T>>> forward(int threads) const {
    const Threads team(threads);
    std::vector<compute_t<T>> losses(labels.size()), lse(labels.size());
    kernels::cpu::cross_entropy<T>(logits.view(), labels.data(), losses.data(), lse.data());
    return {losses, lse};
  }
};

// The sum of V positive terms, each right to 4 roundings, errs by at most V + 4 roundings relative to itself,
// so does its logarithm absolutely; in pairs of vector lanes it stays far below. The logits add one rounding
// of their largest value.
template <class T>
void expect_matches(int64_t rows, int64_t width, double spread) {
  const Case<T> c(rows, width, spread);
  const auto [losses, lse] = c.forward(2);
  Matrix<T> dx(rows, width, width + 2), sum(rows, width, width + 2, 9);
  const Matrix<T> before = sum;
  kernels::cpu::cross_entropy_backward<T>(c.logits.view(), c.labels.data(), lse.data(), c.dlosses.data(),
                                          dx.rows(), Write::overwrite);
  kernels::cpu::cross_entropy_backward<T>(c.logits.view(), c.labels.data(), lse.data(), c.dlosses.data(),
                                          sum.rows(), Write::accumulate);
  const double unit = rounding<compute_t<T>>();
  const double bound = unit * (static_cast<double>(width) + 4 + 8 * 5 * spread);
  for (int64_t i = 0; i < rows; ++i) {
    const auto at = static_cast<size_t>(i);
    const bool ignored = c.labels[at] == kernels::kIgnoredLabel;
    double total = 0;
    for (int64_t j = 0; j < width; ++j) total += std::exp(c.logits(i, j));
    const double log_sum = std::log(total);
    ASSERT_NEAR(to_double(losses[at]), ignored ? 0 : log_sum - c.logits(i, c.labels[at]), bound);
    ASSERT_NEAR(to_double(lse[at]), ignored ? 0 : log_sum, bound);
    for (int64_t j = 0; j < width; ++j) {
      const double p = std::exp(c.logits(i, j) - log_sum) - (j == c.labels[at] ? 1 : 0);
      const double expected = ignored ? 0 : to_double(c.dlosses[at]) * p;
      const double stored = 1.01 * rounding<T>();
      ASSERT_NEAR(dx(i, j), expected, 2 * bound + stored * std::abs(expected));
      const double added = before(i, j) + expected;
      ASSERT_NEAR(sum(i, j), added, 2 * bound + stored * std::abs(added));
    }
  }
  EXPECT_TRUE(dx.padding_untouched());
}

template <class T>
void expect_matches_everywhere() {
  expect_matches<T>(1, 1, 1);
  expect_matches<T>(7, 5, 3);
  expect_matches<T>(5, 1025, 2);
  expect_matches<T>(70, 700, 5);
}

TEST_F(CrossEntropy, InDoubleIsItsDefinition) {
  expect_matches_everywhere<double>();
}
TEST_F(CrossEntropy, InFloatIsItsDefinition) {
  expect_matches_everywhere<float>();
}
TEST_F(CrossEntropy, InBf16IsItsDefinition) {
  expect_matches_everywhere<bf16>();
}

TEST_F(CrossEntropy, StaysFiniteWhereLogitsAreHuge) {
  Matrix<float> logits(1, 3);
  logits.at(0, 0) = 3e4f;
  logits.at(0, 1) = -3e4f;
  logits.at(0, 2) = 0;
  const int32_t label = 1;
  float loss = 0, lse = 0;
  kernels::cpu::cross_entropy<float>(logits.view(), &label, &loss, &lse);
  EXPECT_EQ(loss, 6e4f);
  EXPECT_EQ(lse, 3e4f);
}

TEST_F(CrossEntropy, GradientMayTakeTheMemoryOfTheLogitsOnAnyNumberOfThreads) {
  const Case<float> c(70, 701, 2);
  const auto [losses, lse] = c.forward(1);
  EXPECT_EQ(c.forward(2).first, losses);
  EXPECT_EQ(c.forward(4).second, lse);
  const Threads one(1);
  Matrix<float> apart(70, 701, 704);
  kernels::cpu::cross_entropy_backward<float>(c.logits.view(), c.labels.data(), lse.data(), c.dlosses.data(),
                                              apart.rows(), Write::overwrite);
  Matrix<float> in_place = c.logits;
  const Threads four(4);
  kernels::cpu::cross_entropy_backward<float>(in_place.view(), c.labels.data(), lse.data(), c.dlosses.data(),
                                              in_place.rows(), Write::overwrite);
  EXPECT_TRUE(in_place.same_bits(apart));
}

TEST_F(CrossEntropy, CountsLabelsThatAreTheFirstLargestLogit) {
  Matrix<float> logits(5, 40);
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 40; ++j) logits.at(i, j) = j == 7 || j == 33 ? 2.0f : -1.0f;
  logits.at(4, 7) = std::numeric_limits<float>::quiet_NaN();
  // The first of two equals; the second of them; ignored; another; not a number.
  const std::vector<int32_t> labels{7, 33, kernels::kIgnoredLabel, 0, 7};
  EXPECT_EQ(kernels::cpu::count_correct<float>(logits.view(), labels.data()), 1);
  const Matrix<bf16> one_column(3, 1, 0, 1);
  const std::vector<int32_t> zeros(3, 0);
  EXPECT_EQ(kernels::cpu::count_correct<bf16>(one_column.view(), zeros.data()), 3);
}

TEST_F(CrossEntropy, FindsTheFirstLabelThatIsNone) {
  const std::vector<int32_t> labels{0, kernels::kIgnoredLabel, 4, 5, -1};
  EXPECT_EQ(kernels::cpu::first_invalid_label(labels.data(), 5, 5), 3);
  EXPECT_EQ(kernels::cpu::first_invalid_label(labels.data(), 5, 6), 4);
  EXPECT_EQ(kernels::cpu::first_invalid_label(labels.data(), 4, 6), -1);
}

}  // namespace
}  // namespace lethe::test
