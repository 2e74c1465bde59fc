#include "kernels/argmax.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "tests/kernels/reference.h"
#include "tests/kernels/threads.h"

namespace lethe::test {
namespace {

TEST(Argmax, IsTheFirstOfTheLargest) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(),
                  infinity = std::numeric_limits<float>::infinity();
  Matrix<float> x(5, 3);
  const float rows[5][3] = {
      {1, 3, 3}, {nan, -2, -1}, {nan, nan, nan}, {-infinity, -infinity, -infinity}, {2, nan, infinity}};
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 3; ++j) x.at(i, j) = rows[i][j];
  std::vector<int32_t> places(5, -1);
  kernels::cpu::argmax<float>(x.view(), places.data());
  EXPECT_EQ(places, (std::vector<int32_t>{1, 2, 0, 0, 2}));
}

template <class T>
void expect_largest() {
  for (const int64_t width : {1, 7, 1025}) {
    // Small whole numbers: many are equal, and no type rounds them.
    Matrix<T> x(67, width);
    std::mt19937 random(static_cast<uint32_t>(width));
    for (int64_t i = 0; i < 67; ++i)
      for (int64_t j = 0; j < width; ++j) x.at(i, j) = static_cast<T>(static_cast<float>(random() % 100));
    std::vector<int32_t> expected, places(67);
    for (int64_t i = 0; i < 67; ++i) {
      int32_t best = 0;
      for (int32_t j = 1; j < width; ++j)
        if (static_cast<double>(static_cast<compute_t<T>>(x.at(i, j))) >
            static_cast<double>(static_cast<compute_t<T>>(x.at(i, best))))
          best = j;
      expected.push_back(best);
    }
    for (const int threads : {1, 3}) {
      const Threads team(threads);
      kernels::cpu::argmax<T>(x.view(), places.data());
      EXPECT_EQ(places, expected);
    }
  }
}

TEST(Argmax, OfEveryTypeAndWidth) {
  expect_largest<double>();
  expect_largest<float>();
  expect_largest<bf16>();
}

}  // namespace
}  // namespace lethe::test
