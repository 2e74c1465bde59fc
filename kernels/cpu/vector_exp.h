// exp for loops that must become vector code: no call, no branch.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace lethe::kernels::cpu {

// e^x, for x in [-80, 80] to within 2 units in the last place; below and above, e^-80 and e^80. A softmax
// whose largest term is 1 loses nothing by the lower bound of 1e-35. The bounds keep 1 / (1 + e^x) clear of
// subnormal numbers, which cost a hundred cycles each: vectorised, that quotient at the bound is multiplied
// by every element, whichever side of the bound it is on. A NaN stays one.
//
// With n the integer nearest x / ln 2 and r = x - n ln 2: e^x = 2^n e^r, |r| <= 0.35, where the Taylor series
// to r^7 errs by 5e-9, a tenth of float's rounding. ln 2 is subtracted in two parts, the first with trailing
// zeros so that n times it is exact.
[[gnu::always_inline]] inline float vector_exp(float x) {
  constexpr float kInverseLn2 = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  // Adding it rounds to a whole number, which then stands in the lowest bits.
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23
  x = x < -80.0f ? -80.0f : x;
  x = x > 80.0f ? 80.0f : x;
  const float shifted = x * kInverseLn2 + kRound;
  const float n = shifted - kRound;
  const float r = x - n * kLn2High - n * kLn2Low;
  float series = 1.0f / 5040;
  series = series * r + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 1.0f / 2;
  series = series * r + 1.0f;
  series = series * r + 1.0f;
  const uint32_t whole = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound);
  return series * std::bit_cast<float>((whole + 127u) << 23);
}

// Double is for checking, not for speed.
inline double vector_exp(double x) {
  return std::exp(x);
}

}  // namespace lethe::kernels::cpu
