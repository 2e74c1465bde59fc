#include "data/row_packer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/rng.h"

namespace lethe {
namespace {

using Rows = std::vector<std::vector<int64_t>>;

Rows pack(const std::vector<int64_t>& lengths, int64_t capacity, int64_t window) {
  Rows rows;
  RowPacker packer(capacity, window, [&](const std::vector<int64_t>& row) { rows.push_back(row); });
  for (const int64_t length : lengths) packer.add(length);
  packer.finish();
  return rows;
}

TEST(RowPacker, ClosesARowWithThePairThatLeavesLeast) {
  EXPECT_EQ(pack({5, 3, 2, 4, 1}, 10, 8), (Rows{{0, 3, 4}, {1, 2}}));  // 5 + 4 + 1; 3 + 2
  EXPECT_EQ(pack({6, 3, 3, 2, 2}, 10, 8), (Rows{{0, 3, 4}, {1, 2}}));  // two alike make a pair
  EXPECT_EQ(pack({6, 4, 3, 1}, 10, 8), (Rows{{0, 1}, {2, 3}}));        // one alone, as good as 3 + 1
  EXPECT_EQ(pack({7, 7, 7}, 10, 8), (Rows{{0}, {1}, {2}}));            // nothing fits
  EXPECT_EQ(pack({10, 1, 1, 10}, 10, 8), (Rows{{0}, {1, 2}, {3}}));
  EXPECT_EQ(pack({1, 1, 1, 1, 1}, 2, 3), (Rows{{0, 1}, {2, 3}, {4}}));  // no more than three in hand
  EXPECT_TRUE(pack({}, 10, 8).empty());
}

TEST(RowPacker, PacksEveryPieceOnceAndNoneLate) {
  const Rng rng(1, stream_of("lengths"));
  for (const int64_t window : {int64_t{1}, int64_t{2}, int64_t{7}, int64_t{256}}) {
    std::vector<int64_t> lengths;
    for (uint64_t i = 0; i < 3000; ++i) lengths.push_back(1 + static_cast<int64_t>(rng.below(i, 1025)) % 700);
    const Rows rows = pack(lengths, 700, window);
    std::vector<int64_t> found;
    int64_t filled = 0;
    for (size_t r = 0; r < rows.size(); ++r) {
      int64_t sum = 0;
      for (const int64_t piece : rows[r]) sum += lengths[piece];
      EXPECT_LE(sum, 700);
      filled += sum;
      found.insert(found.end(), rows[r].begin(), rows[r].end());
      // The first of a row is the oldest that waits.
      EXPECT_TRUE(r == 0 || rows[r][0] > rows[r - 1][0]);
    }
    std::sort(found.begin(), found.end());
    ASSERT_EQ(found.size(), lengths.size());
    for (size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], static_cast<int64_t>(i));
    const double efficiency = static_cast<double>(filled) / (700.0 * static_cast<double>(rows.size()));
    EXPECT_GT(efficiency, window == 256 ? 0.97 : 0.4);
  }
}

}  // namespace
}  // namespace lethe
