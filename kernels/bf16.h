// bfloat16: the upper half of a float. Storage only; arithmetic happens in float.
#pragma once

#include <cstdint>
#include <cstring>

namespace lethe {

struct bf16 {
  uint16_t bits = 0;

  bf16() = default;
  // Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
  explicit bf16(float value) {
    uint32_t u;
    std::memcpy(&u, &value, sizeof u);
    const uint32_t rounded = u + 0x7fffu + ((u >> 16) & 1u);
    const bool is_nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(is_nan ? (u >> 16) | 0x40u : rounded >> 16);
  }
  explicit operator float() const {
    const uint32_t u = static_cast<uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &u, sizeof value);
    return value;
  }
};

// The type arithmetic is done in, for each storage type: double for double, float for the rest.
template <class T>
struct Compute {
  using type = float;
};
template <>
struct Compute<double> {
  using type = double;
};
template <class T>
using compute_t = typename Compute<T>::type;

}  // namespace lethe
