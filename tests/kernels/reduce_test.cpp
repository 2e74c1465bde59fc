#include "kernels/reduce.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/rng.h"
#include "tests/kernels/threads.h"

namespace lethe::kernels {
namespace {

template <class T>
std::vector<T> values(int64_t count) {
  std::vector<T> x(static_cast<size_t>(count));
  const Rng rng(3, 4);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(static_cast<compute_t<T>>(rng.normal(i)));
  return x;
}

template <class T>
class SumOf : public testing::Test {};
using Stored = testing::Types<double, float, bf16>;
TYPED_TEST_SUITE(SumOf, Stored);

// In double, n terms of size one: the error is below n units of 2^-53 of the sum of their sizes, here 1e-10.
TYPED_TEST(SumOf, AgreesWithAPlainLoop) {
  for (const int64_t rows : {0, 1, 7, 130}) {
    for (const int64_t width : {0, 1, 7, 1025, 65537}) {
      const int64_t pitch = width + 2;
      const auto x = values<TypeParam>(rows * pitch);
      double plain = 0, squares = 0;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < width; ++c) {
          const auto v =
              static_cast<double>(static_cast<compute_t<TypeParam>>(x[static_cast<size_t>(r * pitch + c)]));
          plain += v;
          squares += v * v;
        }
      }
      std::vector<double> scratch(static_cast<size_t>(cpu::reduction_pieces(rows, width)) + 1, -1.0);
      double total = 10, square = 10;
      cpu::sum<TypeParam, double>({x.data(), rows, width, pitch}, scratch.data(), &total, Write::accumulate);
      cpu::sum_of_squares<TypeParam>({x.data(), rows, width, pitch}, scratch.data(), &square);
      EXPECT_NEAR(total, 10 + plain, 1e-7);
      EXPECT_NEAR(square, squares, 1e-12 * squares);
      EXPECT_EQ(scratch.back(), -1.0) << "wrote behind its scratch";
    }
  }
}

TYPED_TEST(SumOf, DoesNotDependOnTheNumberOfThreads) {
  const auto x = values<TypeParam>(300 * 1025);
  std::vector<double> scratch(static_cast<size_t>(cpu::reduction_pieces(300, 1025)));
  double first = 0;
  for (const int threads : {1, 2, 3, 4}) {
    const test::Threads team(threads);
    double total = 0;
    cpu::sum<TypeParam, double>({x.data(), 300, 1025, 1025}, scratch.data(), &total, Write::overwrite);
    if (threads == 1) first = total;
    EXPECT_EQ(total, first);
  }
}

TEST(Sum, LosesNothingBesideALargeTerm) {
  // In float alone 2^24 + 1 is 2^24.
  std::vector<float> x(1001, 1.0f);
  x[0] = 0x1p24f;
  double scratch = 0;
  float total = 0;
  cpu::sum<float, float>({x.data(), 1, 1001, 1001}, &scratch, &total, Write::overwrite);
  EXPECT_EQ(total, 0x1p24f + 1000);
}

}  // namespace
}  // namespace lethe::kernels
