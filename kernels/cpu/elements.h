// Element-wise loops over matrices: fixed pieces, and an exponential that becomes vector code. Their inner
// loops carry `GCC ivdep`: no iteration reads what another wrote, an output may only be an input element by
// element.
#pragma once

#include <bit>
#include <cmath>
#include <type_traits>

#include "kernels/cpu/parallel.h"

namespace lethe::kernels::cpu {

// Elements of one piece of a row; a constant, so that what is summed per piece never depends on the machine.
constexpr int64_t kSlice = 32768;

inline int64_t slices_of(int64_t width) {
  return (width + kSlice - 1) / kSlice;
}

// Calls body(row, begin, end) for every row of a rows x width matrix, in slices where a row is wider than a
// piece: a vector is a matrix of one row and must be shared over the cores all the same.
template <class Body>
void parallel_elements(int64_t rows, int64_t width, const Body& body) {
  const int64_t slices = slices_of(width);
  parallel_pieces(rows * slices, slices > 1 ? 1 : rows_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = i / slices, slice = i % slices;
      body(row, slice * kSlice, std::min(width, (slice + 1) * kSlice));
    }
  });
}

// e^x. In float: x = n ln 2 + r with |r| <= ln(2) / 2, and Taylor's polynomial of degree 7 for e^r, whose
// remainder r^8 / 8! is below 6e-9; the result is within 2 units in the last place. Bounded to e^-80 and
// e^80: 2e-35 stands for anything smaller, and what is computed from it stays clear of subnormal numbers,
// each of which costs a processor a hundred cycles. A NaN stays one. No branch, no call: a loop over it is
// vector code whatever the library offers (glibc declares its own only under -ffast-math).
template <class C>
[[gnu::always_inline]] inline C vector_exp(C x) {
  if constexpr (std::is_same_v<C, double>) {
    return std::exp(x);
  } else {
    x = x < -80.0f ? -80.0f : x;
    x = x > 80.0f ? 80.0f : x;
    constexpr float kRound = 0x1.8p23f;  // added, it leaves the nearest integer in the low bits
    const float shifted = x * 0x1.715476p0f + kRound;
    const float n = shifted - kRound;
    const float r =
        (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;  // ln 2 in two parts; the first product is exact
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const auto exponent = (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound) + 127u) << 23;
    return p * std::bit_cast<float>(exponent);
  }
}

// 1 / (1 + e^-x).
template <class C>
[[gnu::always_inline]] inline C sigmoid(C x) {
  return C(1) / (C(1) + vector_exp(-x));
}

}  // namespace lethe::kernels::cpu
