#include "kernels/dropout.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/philox.h"
#include "tests/kernels/threads.h"

namespace lethe::kernels {
namespace {

struct Key {
  int64_t seed = 42, step = 1, first_row = 0;
  uint64_t stream = 99;
  cpu::DropoutKey pointers() const { return {&seed, &step, &first_row, stream}; }
};

std::vector<float> mask(int64_t rows, int64_t width, double p, const Key& key) {
  const std::vector<float> ones(static_cast<size_t>(rows * width), 1.0f);
  std::vector<float> y(ones.size());
  cpu::dropout<float>({ones.data(), rows, width, width}, p, key.pointers(), {y.data(), rows, width, width},
                      Write::overwrite);
  return y;
}

int64_t both_kept(const std::vector<float>& a, const std::vector<float>& b) {
  int64_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += a[i] != 0 && b[i] != 0 ? 1 : 0;
  return count;
}

TEST(Dropout, KeepsTheMean) {
  // n elements of value 1/(1-p) with probability 1-p: the mean is 1 with deviation sqrt(p / ((1-p) n)); five
  // of them are allowed.
  const int64_t rows = 300, width = 1001, n = rows * width;
  for (const double p : {0.05, 0.5, 0.9}) {
    double sum = 0;
    for (const float v : mask(rows, width, p, {})) {
      EXPECT_TRUE(v == 0.0f || v == static_cast<float>(1 / (1 - p)));
      sum += static_cast<double>(v);
    }
    EXPECT_NEAR(sum / static_cast<double>(n), 1, 5 * std::sqrt(p / ((1 - p) * static_cast<double>(n)))) << p;
  }
}

TEST(Dropout, IsIndependentOfOtherSeedsStepsAndStreams) {
  // Two independent masks at p = 1/2 are both kept for a quarter of n, with deviation sqrt(3 n) / 4.
  const int64_t rows = 100, width = 1001, n = rows * width;
  const auto base = mask(rows, width, 0.5, {});
  for (const Key& other : {Key{.seed = 43}, Key{.step = 2}, Key{.stream = 100}, Key{.first_row = 100}}) {
    const auto second = mask(rows, width, 0.5, other);
    EXPECT_NEAR(static_cast<double>(both_kept(base, second)), static_cast<double>(n) / 4,
                5 * std::sqrt(3.0 * static_cast<double>(n)) / 4);
  }
  // Neighbours of one mask: the same count for a mask and itself moved by one, and by one word of four.
  for (const size_t shift : {size_t{1}, size_t{4}, static_cast<size_t>(width)}) {
    const std::vector<float> moved(base.begin() + static_cast<std::ptrdiff_t>(shift), base.end());
    const auto m = static_cast<double>(moved.size());
    EXPECT_NEAR(static_cast<double>(both_kept(moved, {base.begin(), base.end()})), m / 4,
                5 * std::sqrt(3.0 * m) / 4);
  }
}

TEST(Dropout, IsTheSameHoweverTheRowsAreSplit) {
  for (const int64_t width : {1, 7, 64, 1025, 40003}) {
    const auto whole = mask(9, width, 0.3, {});
    auto split = mask(4, width, 0.3, {});
    const auto rest = mask(5, width, 0.3, {.first_row = 4});
    split.insert(split.end(), rest.begin(), rest.end());
    EXPECT_EQ(split, whole) << width;
  }
}

TEST(Dropout, FollowsItsDefinitionWordByWord) {
  const Key key{.seed = 5, .step = 3, .first_row = 2, .stream = 17};
  const int64_t width = 7;
  const auto y = mask(3, width, 0.25, key);
  for (int64_t i = 0; i < 3 * width; ++i) {
    const auto position = static_cast<uint64_t>(2 * width + i);
    const PhiloxWords words = philox(5, position / 4, 17 + 3 * uint64_t{0x9E3779B97F4A7C15});
    EXPECT_EQ(y[static_cast<size_t>(i)] != 0, uniform01(words.word[position % 4]) >= 0.25f);
  }
}

TEST(Dropout, DoesNotDependOnTheNumberOfThreadsNorOnTheDtype) {
  const test::Threads single(1);
  const auto one = mask(70, 1025, 0.4, {});
  const test::Threads four(4);
  EXPECT_EQ(mask(70, 1025, 0.4, {}), one);
  std::vector<bf16> x(70 * 1025, bf16(1.0f)), y(x.size());
  const Key key;
  cpu::dropout<bf16>({x.data(), 70, 1025, 1025}, 0.4, key.pointers(), {y.data(), 70, 1025, 1025},
                     Write::overwrite);
  for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(static_cast<float>(y[i]) != 0, one[i] != 0);
}

TEST(Dropout, AddsWhereAskedAndWorksInPlace) {
  const Key key;
  const auto kept = mask(3, 7, 0.5, key);
  std::vector<float> x(21, 3.0f), y(21, 1.0f);
  cpu::dropout<float>({x.data(), 3, 7, 7}, 0.5, key.pointers(), {y.data(), 3, 7, 7}, Write::accumulate);
  cpu::dropout<float>({x.data(), 3, 7, 7}, 0.5, key.pointers(), {x.data(), 3, 7, 7}, Write::overwrite);
  for (size_t i = 0; i < 21; ++i) {
    EXPECT_EQ(x[i], 3 * kept[i]);
    EXPECT_EQ(y[i], 1 + 3 * kept[i]);
  }
}

TEST(Dropout, TakesEmptyMatrices) {
  EXPECT_TRUE(mask(0, 7, 0.5, {}).empty());
  EXPECT_TRUE(mask(7, 0, 0.5, {}).empty());
}

}  // namespace
}  // namespace lethe::kernels
