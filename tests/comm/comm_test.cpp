// Collectives against what each must give, run by 1 to 4 ranks; values are drawn by rank and position, so
// that every rank knows what the others hold.
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "engine/rng.h"
#include "tests/comm/ranks.h"
#include "tests/files.h"

namespace lethe::test {
namespace {

// What rank r holds: of many magnitudes, so that the order of a sum shows in its bits.
template <class T>
std::vector<T> values_of(int rank, int64_t count) {
  const Rng rng(static_cast<uint64_t>(rank), stream_of("comm"));
  std::vector<T> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    const double x = rng.normal(2 * i) * static_cast<double>(1 << rng.below(2 * i + 1, 20));
    if constexpr (std::is_same_v<T, bf16>) {
      values[i] = bf16(static_cast<float>(x));
    } else {
      values[i] = static_cast<T>(x);
    }
  }
  return values;
}

template <class T>
struct WideOf {
  using type = T;
};
template <>
struct WideOf<bf16> {
  using type = float;
};

// In the order of the ranks, rounded once.
template <class T>
std::vector<T> sum_of(int world, int64_t count) {
  std::vector<typename WideOf<T>::type> sums(static_cast<size_t>(count));
  for (int r = 0; r < world; ++r) {
    const std::vector<T> values = values_of<T>(r, count);
    for (size_t i = 0; i < sums.size(); ++i) {
      const auto x = static_cast<typename WideOf<T>::type>(values[i]);
      sums[i] = r == 0 ? x : sums[i] + x;
    }
  }
  std::vector<T> rounded(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) rounded[i] = static_cast<T>(sums[i]);
  return rounded;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
class Sums : public testing::Test {};
using Types = testing::Types<double, float, bf16, int64_t>;
TYPED_TEST_SUITE(Sums, Types);

// 1'200'001 float64 are more than what is exchanged at once.
constexpr int64_t kCounts[] = {0, 1, 2, 3, 7, 1000, 1'200'001};

TYPED_TEST(Sums, AreTheSameBitsInTheOrderOfTheRanksOnAll) {
  for (const int64_t count : kCounts) {
    std::vector<TypeParam> values = values_of<TypeParam>(ranks().rank(), count);
    ranks().all_reduce(values.data(), dtype_of<TypeParam>(), count);
    EXPECT_TRUE(same_bits(values, sum_of<TypeParam>(ranks().world(), count))) << count;
  }
}

// Slices of unequal length, one of them empty if there are several.
std::vector<int64_t> uneven_slices(int64_t count) {
  std::vector<int64_t> slices(static_cast<size_t>(ranks().world()), 0);
  slices.back() = count / 3;
  slices.front() += count - count / 3;
  return slices;
}

TYPED_TEST(Sums, ByScatteringAndGatheringHaveTheBitsOfReducingWhateverTheSlices) {
  for (const int64_t count : kCounts) {
    const std::vector<TypeParam> values = values_of<TypeParam>(ranks().rank(), count);
    const std::vector<TypeParam> expected = sum_of<TypeParam>(ranks().world(), count);
    for (const std::vector<int64_t>& slices : {ranks().even_slices(count), uneven_slices(count)}) {
      ASSERT_EQ(std::accumulate(slices.begin(), slices.end(), int64_t{0}), count);
      std::vector<TypeParam> own(static_cast<size_t>(slices[static_cast<size_t>(ranks().rank())]));
      std::vector<TypeParam> all(static_cast<size_t>(count));
      ranks().reduce_scatter(values.data(), own.data(), dtype_of<TypeParam>(), slices);
      ranks().all_gather(own.data(), all.data(), dtype_of<TypeParam>(), slices);
      EXPECT_TRUE(same_bits(all, expected)) << count;
    }
  }
}

TEST(Comm, BroadcastGivesEachRootsBytesToAll) {
  for (int root = 0; root < ranks().world(); ++root) {
    std::vector<double> values = values_of<double>(ranks().rank(), 1001);
    ranks().broadcast(values.data(), 8 * 1001, root);
    EXPECT_TRUE(same_bits(values, values_of<double>(root, 1001)));
  }
}

TEST(Comm, TextsOfUnequalLengthComeInTheOrderOfTheRanks) {
  const auto text_of_rank = [](int r) {
    return std::string(static_cast<size_t>(3 * r), 'a') + std::to_string(r);
  };
  const std::vector<std::string> texts = gather_texts(ranks(), text_of_rank(ranks().rank()));
  ASSERT_EQ(static_cast<int>(texts.size()), ranks().world());
  for (int r = 0; r < ranks().world(); ++r) EXPECT_EQ(texts[static_cast<size_t>(r)], text_of_rank(r));
}

TEST(Comm, BarrierLetsNobodyThroughBeforeTheLastHasCome) {
  const Folder folder;  // of this rank
  const std::vector<std::string> folders = gather_texts(ranks(), folder.path());
  write_text(folder / "came", "");
  ranks().barrier();
  for (const std::string& f : folders) EXPECT_TRUE(std::filesystem::exists(f + "/came"));
  ranks().barrier();
}

TEST(Comm, RefusesTypesAndSlicesThatDoNotFit) {
  std::vector<int32_t> values(4);
  expect_parts(message_of<ShapeError>([&] { ranks().all_reduce(values.data(), DType::i32, 4); }), {"int32"});
  const std::vector<int64_t> too_many(static_cast<size_t>(ranks().world()) + 1, 1);
  expect_parts(
      message_of<ShapeError>([&] { ranks().all_gather(values.data(), values.data(), DType::i32, too_many); }),
      {"slices"});
}

}  // namespace
}  // namespace lethe::test
