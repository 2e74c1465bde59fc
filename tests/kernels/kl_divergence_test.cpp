#include "kernels/kl_divergence.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cross_entropy.h"
#include "tests/kernels/reference.h"
#include "tests/kernels/threads.h"

namespace lethe::test {
namespace {

template <class T>
double at(const Matrix<T>& x, int64_t i, int64_t j) {
  return static_cast<double>(static_cast<compute_t<T>>(x.view().row(i)[j]));
}

// By the formula, in long double.
template <class T>
double reference(const Matrix<T>& p, const Matrix<T>& q, int64_t i, int64_t width) {
  long double sum_p = 0, sum_q = 0, made = 0;
  for (int64_t j = 0; j < width; ++j) {
    sum_p += std::exp(static_cast<long double>(at(p, i, j)));
    sum_q += std::exp(static_cast<long double>(at(q, i, j)));
  }
  for (int64_t j = 0; j < width; ++j) {
    const long double log_p = at(p, i, j) - std::log(sum_p), log_q = at(q, i, j) - std::log(sum_q);
    made += std::exp(log_p) * (log_p - log_q);
  }
  return static_cast<double>(made);
}

// log p - log q lies below 4 * spread here. Exponentials and the logits' differences are right to 4 units u
// of the compute type; adding V terms in double, one after another, loses V * 2^-53 of their size at most.
template <class T>
void expect_matches(double unit) {
  constexpr double kSpread = 5;
  for (const int64_t width : {1, 7, 1025}) {
    const Matrix<T> p(33, width, width + 3, 1, kSpread), q(33, width, width, 2, kSpread);
    std::vector<int32_t> labels(33, 0);
    const double bound = 4 * kSpread * (4 * unit + static_cast<double>(width) * 0x1p-53);
    labels[4] = kernels::kIgnoredLabel;
    std::vector<compute_t<T>> one(33), three(33);
    for (const int threads : {1, 3}) {
      const Threads team(threads);
      kernels::cpu::kl_divergence<T>(p.view(), q.view(), labels.data(), (threads == 1 ? one : three).data());
    }
    EXPECT_EQ(one, three);
    for (int64_t i = 0; i < 33; ++i) {
      const double expected = i == 4 ? 0 : reference(p, q, i, width);
      EXPECT_NEAR(static_cast<double>(one[static_cast<size_t>(i)]), expected, bound) << width;
    }
  }
}

TEST(KlDivergence, IsTheFormulas) {
  expect_matches<double>(0x1p-52);
  expect_matches<float>(0x1p-23);
  expect_matches<bf16>(0x1p-23);
}

TEST(KlDivergence, OfTheSameIsZeroAndElseIsNotSymmetric) {
  const Matrix<double> p(2, 9, 9, 1, 2.0), q(2, 9, 9, 2, 2.0);
  const std::vector<int32_t> labels(2, 1);
  std::vector<double> same(2), there(2), back(2);
  kernels::cpu::kl_divergence<double>(p.view(), p.view(), labels.data(), same.data());
  kernels::cpu::kl_divergence<double>(p.view(), q.view(), labels.data(), there.data());
  kernels::cpu::kl_divergence<double>(q.view(), p.view(), labels.data(), back.data());
  EXPECT_NEAR(same[0], 0, 1e-15);
  EXPECT_GT(there[0], 0);
  EXPECT_GT(std::abs(there[0] - back[0]), 1e-3);
}

}  // namespace
}  // namespace lethe::test
