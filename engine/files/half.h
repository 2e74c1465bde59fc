// IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. Only files hold it; Lethe does not compute in it.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace lethe {

struct f16 {
  uint16_t bits = 0;

  f16() = default;

  // Rounds to nearest, ties to even; from 65520 on the result is infinite; a NaN stays a (quiet) NaN.
  explicit f16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (u >> 16) & 0x8000u;
    const uint32_t magnitude = u & 0x7fffffffu;
    uint32_t half = 0;
    if (magnitude > 0x7f800000u) {
      half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
    } else if (magnitude >= 0x477ff000u) {
      half = 0x7c00u;
    } else if (magnitude < 0x38800000u) {
      // Below 2^-14 the halves are the multiples of 2^-24, and the product is exact.
      half = static_cast<uint32_t>(std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f));
    } else {
      const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
      half = (rounded - 0x38000000u) >> 13;
    }
    bits = static_cast<uint16_t>(sign | half);
  }

  // Exact: every half is a float.
  explicit operator float() const {
    const uint32_t exponent = (bits >> 10) & 0x1fu;
    const uint32_t fraction = bits & 0x3ffu;
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
    uint32_t magnitude = 0;
    if (exponent == 0) {
      magnitude = std::bit_cast<uint32_t>(static_cast<float>(fraction) * 0x1p-24f);
    } else if (exponent == 31) {
      magnitude = 0x7f800000u | (fraction << 13);
    } else {
      magnitude = ((exponent + 112) << 23) | (fraction << 13);
    }
    return std::bit_cast<float>(sign | magnitude);
  }
};

// A float from which rounding to bf16 or f16 gives what rounding the double itself would: inexact values go
// to the neighbour with an odd last bit, so that no tie can arise from the first rounding ("rounding to odd",
// Boldo and Melquiond, "When double rounding is odd", 2005).
inline float rounded_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(nearest) == value) return nearest;
  uint32_t u = std::bit_cast<uint32_t>(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value)) --u;
  return std::bit_cast<float>(u | 1u);
}

}  // namespace lethe
