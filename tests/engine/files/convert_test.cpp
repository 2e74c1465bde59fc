#include "engine/files/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/files/half.h"

namespace lethe {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

uint16_t half_bits(float value) {
  return f16(value).bits;
}
float half_value(uint16_t bits) {
  f16 half;
  half.bits = bits;
  return static_cast<float>(half);
}

// The value of a half by its definition, in double, where every step is exact.
double half_by_definition(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(Half, every_finite_value_is_read_as_defined_and_written_back_bit_for_bit) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    if (((bits >> 10) & 31) == 31) continue;
    ASSERT_EQ(half_value(bits), half_by_definition(bits)) << bits;
    ASSERT_EQ(half_bits(half_value(bits)), bits);
  }
}

TEST(Half, infinities_and_nans_stay_what_they_are) {
  EXPECT_EQ(half_value(0x7c00), infinity);
  EXPECT_EQ(half_value(0xfc00), -infinity);
  EXPECT_EQ(half_bits(-infinity), 0xfc00);
  for (const uint32_t fraction : {1u, 0x200u, 0x3ffu}) {
    const float nan = half_value(static_cast<uint16_t>(0x7c00 | fraction));
    EXPECT_TRUE(std::isnan(nan));
    EXPECT_TRUE(std::isnan(half_value(half_bits(nan))));
  }
}

// Between each two neighbouring halves: the middle goes to the even one, anything beside it to the nearer
// one.
TEST(Half, rounds_to_nearest_and_ties_to_even) {
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = half_value(bits), high = half_value(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;  // exact: one bit more than a half has
    const uint16_t even = bits % 2 == 0 ? bits : static_cast<uint16_t>(bits + 1);
    ASSERT_EQ(half_bits(middle), even) << bits;
    ASSERT_EQ(half_bits(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(half_bits(std::nextafter(middle, infinity)), bits + 1);
    ASSERT_EQ(half_bits(-middle), even | 0x8000);
  }
  EXPECT_EQ(half_bits(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(half_bits(65520.0f), 0x7c00);
  EXPECT_EQ(half_bits(std::numeric_limits<float>::denorm_min()), 0);
}

// 1 + 2^-8 is a tie of bf16 (8 significant bits); a double just above it must not become the tie first.
TEST(Conversion, doubles_are_rounded_once) {
  const double tie = 1.0 + std::ldexp(1.0, -8), above = tie + std::ldexp(1.0, -40);
  const std::vector<double> source = {tie, above, -above, std::nextafter(tie, 0.0),
                                      1.0 + 3 * std::ldexp(1.0, -8)};
  std::vector<bf16> target(source.size());
  ASSERT_EQ(from_stored(StoredType::f64, reinterpret_cast<const std::byte*>(source.data()), 5, DType::bf16,
                        target.data()),
            -1);
  EXPECT_EQ(target[0].bits, 0x3f80);
  EXPECT_EQ(target[1].bits, 0x3f81);
  EXPECT_EQ(target[2].bits, 0xbf81);
  EXPECT_EQ(target[3].bits, 0x3f80);
  EXPECT_EQ(target[4].bits, 0x3f82);

  const double half_tie = 1.0 + std::ldexp(1.0, -11), half_above = half_tie + std::ldexp(1.0, -45);
  const double halves[] = {half_tie, half_above, std::ldexp(1.0, -25) + std::ldexp(1.0, -70)};
  f16 stored[3];
  ASSERT_EQ(to_stored(DType::f64, halves, 3, StoredType::f16, reinterpret_cast<std::byte*>(stored)), -1);
  EXPECT_EQ(stored[0].bits, 0x3c00);
  EXPECT_EQ(stored[1].bits, 0x3c01);
  EXPECT_EQ(stored[2].bits, 1);  // just above half of the smallest subnormal
}

TEST(Conversion, the_first_finite_value_out_of_range_is_told) {
  const float source[] = {1.0f, infinity, 65504.0f, -70000.0f, 80000.0f};
  f16 halves[5];
  EXPECT_EQ(to_stored(DType::f32, source, 5, StoredType::f16, reinterpret_cast<std::byte*>(halves)), 3);
  EXPECT_EQ(to_stored(DType::f32, source, 3, StoredType::f16, reinterpret_cast<std::byte*>(halves)), -1);
  const double wide[] = {0.0, 1e300};
  float narrow[2];
  EXPECT_EQ(from_stored(StoredType::f64, reinterpret_cast<const std::byte*>(wide), 2, DType::f32, narrow), 1);
  const float largest = std::numeric_limits<float>::max();
  bf16 brain;
  EXPECT_EQ(
      from_stored(StoredType::f32, reinterpret_cast<const std::byte*>(&largest), 1, DType::bf16, &brain), 0);
}

TEST(Conversion, sources_and_targets_need_no_alignment) {
  std::vector<std::byte> source(4 * 7 + 1), target(8 * 7 + 3);
  const float values[] = {0.0f, -0.0f, 1.5f, -2.25f, 1e-40f, 3e38f, infinity};
  std::memcpy(source.data() + 1, values, sizeof values);
  ASSERT_EQ(from_stored(StoredType::f32, source.data() + 1, 7, DType::f64, target.data() + 3), -1);
  for (int i = 0; i < 7; ++i) {
    double value;
    std::memcpy(&value, target.data() + 3 + 8 * i, 8);
    EXPECT_EQ(value, static_cast<double>(values[i]));
    EXPECT_EQ(std::signbit(value), std::signbit(values[i]));
  }
}

TEST(Conversion, whole_numbers_widen_but_never_narrow_or_become_floats) {
  EXPECT_TRUE(convertible(StoredType::i32, DType::i64));
  EXPECT_FALSE(convertible(StoredType::i64, DType::i32));
  EXPECT_FALSE(convertible(StoredType::i64, DType::f32));
  EXPECT_FALSE(convertible(StoredType::f32, DType::i64));
  EXPECT_FALSE(convertible(StoredType::f8_e4m3, DType::f32));
  const int32_t source[] = {-1, 2147483647};
  int64_t target[2];
  from_stored(StoredType::i32, reinterpret_cast<const std::byte*>(source), 2, DType::i64, target);
  EXPECT_EQ(target[0], -1);
  EXPECT_EQ(target[1], 2147483647);
}

}  // namespace
}  // namespace lethe
