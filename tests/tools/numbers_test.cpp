#include "tools/report/numbers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tools/report/labels.h"
#include "tools/report/ticks.h"

namespace lethe::report {
namespace {

std::vector<std::string> labels_of(const std::vector<Tick>& ticks) {
  std::vector<std::string> labels;
  for (const Tick& tick : ticks) labels.push_back(tick.label);
  return labels;
}

using Labels = std::vector<std::string>;

TEST(Numbers, AreGroupedAndSignedAsInPrint) {
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(123), "123");
  EXPECT_EQ(grouped(-1000), "−1,000");
  EXPECT_EQ(fixed(1234.567, 2), "1,234.57");
  EXPECT_EQ(fixed(NAN, 2), "–");
  EXPECT_EQ(fixed(-INFINITY, 1), "−∞");
  EXPECT_EQ(signed_fixed(0.1234, 3), "+0.123");
  EXPECT_EQ(signed_fixed(-0.5, 1), "−0.5");
  EXPECT_EQ(signed_fixed(-0.0001, 2), "0.00") << "what rounds to zero has no sign";
  EXPECT_EQ(compact(999), "999");
  EXPECT_EQ(compact(1376384), "1.38M");
  EXPECT_EQ(compact(999999), "1.00M");
  EXPECT_EQ(scientific(0.0003), "3e-4");
  EXPECT_EQ(scientific(0.00025), "2.5e-4");
  EXPECT_EQ(duration(431), "7 min 11 s");
  EXPECT_EQ(bytes_text(9812345), "9.8 MB");
}

TEST(Numbers, ReservedCharactersAreEscaped) {
  EXPECT_EQ(escape("a<b & \"c\" 'd'>"), "a&lt;b &amp; &quot;c&quot; &#39;d&#39;&gt;");
}

TEST(Ticks, AreRoundAndInsideTheRange) {
  EXPECT_EQ(labels_of(linear_ticks({0, 10}, 6)), (Labels{"0", "2", "4", "6", "8", "10"}));
  EXPECT_EQ(labels_of(linear_ticks({-0.13, 0.27}, 5)), (Labels{"−0.1", "0.0", "0.1", "0.2"}));
  EXPECT_EQ(labels_of(linear_ticks({2.05, 3.95}, 5)), (Labels{"2.5", "3.0", "3.5"}));
  for (const int count : {1, 2, 5, 9}) {
    for (const Range range : {Range{0, 1}, Range{-7e6, 3e9}, Range{1e-9, 3e-9}}) {
      const auto ticks = linear_ticks(range, count);
      EXPECT_LE(static_cast<int>(ticks.size()), count);
      for (const Tick& tick : ticks) {
        EXPECT_GE(tick.value, range.low - 1e-9 * range.high);
        EXPECT_LE(tick.value, range.high * (1 + 1e-9));
      }
    }
  }
}

TEST(Ticks, OfALogarithmicAxisThinOut) {
  EXPECT_EQ(labels_of(log_ticks({1, 100}, 9)), (Labels{"1", "2", "5", "10", "20", "50", "100"}));
  EXPECT_EQ(labels_of(log_ticks({1, 100}, 5)), (Labels{"1", "3", "10", "30", "100"}));
  EXPECT_EQ(labels_of(log_ticks({1e-4, 1e-2}, 4)), (Labels{"10⁻⁴", "10⁻³", "10⁻²"}));
  EXPECT_EQ(labels_of(log_ticks({2.1, 2.9}, 5)), (Labels{"2.2", "2.4", "2.6", "2.8"}))
      << "no power of ten inside";
  EXPECT_LE(log_ticks({1e-12, 1}, 5).size(), 5u);
}

TEST(Ticks, ARangeIgnoresWhatIsNotFinite) {
  const Range range = range_of({NAN, 2, INFINITY, 5, -INFINITY});
  EXPECT_EQ(range.low, 2);
  EXPECT_EQ(range.high, 5);
  EXPECT_EQ(range_of({NAN}).high, 1);
  EXPECT_LT(range_of({3, 3}).low, 3);
  EXPECT_LT(range_of({0}).low, 0);
}

TEST(Labels, AreSpreadApartInOrder) {
  const std::vector<double> places = spread({50, 52, 51, 90}, 15, 0, 100);
  EXPECT_LT(places[0], places[2]);
  EXPECT_LT(places[2], places[1]);
  EXPECT_NEAR(places[2] - places[0], 15, 1e-9);
  EXPECT_NEAR(places[1] - places[2], 15, 1e-9);
  EXPECT_NEAR(places[2], 51, 1e-9) << "a group stays around what its members want";
  EXPECT_EQ(places[3], 90);
  const std::vector<double> low = spread({99, 99, 99}, 15, 0, 100);
  EXPECT_LE(*std::max_element(low.begin(), low.end()), 100);
  const std::vector<double> crowded = spread({5, 5, 5, 5}, 15, 0, 20);
  EXPECT_EQ(crowded, (std::vector<double>{0, 15, 30, 45})) << "too many: they keep their distance";
  EXPECT_TRUE(spread({}, 15, 0, 100).empty());
}

TEST(Labels, KeepAwayFromObstaclesAndEdges) {
  const Box bounds{0, 0, 200, 100};
  const Box free = place_beside({100, 50}, 40, 15, {}, bounds);
  EXPECT_GT(free.left, 100) << "right of the point where nothing is in the way";
  const Box other = place_beside({100, 50}, 40, 15, {free}, bounds);
  EXPECT_EQ(overlap(other, free), 0);
  const Box at_edge = place_beside({198, 50}, 40, 15, {}, bounds);
  EXPECT_LE(at_edge.right, 200);
}

}  // namespace
}  // namespace lethe::report
