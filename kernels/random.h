// y[r, c] = the random number at position r * width + c of a stream: the value depends on seed, stream and
// position alone, so neither the device nor the number of threads changes what is drawn. Padding between rows
// has no position. The numbers are those of engine/rng.h, computed in double on every device and rounded to
// the compute type, then to storage.
#pragma once

#include <cmath>
#include <numbers>

#include "kernels/philox.h"
#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels {

struct RandomStream {
  uint64_t seed = 0, stream = 0;
};

// Two words as a number in [0, 1): the upper 53 of their 64 bits, exact in double.
LETHE_HOST_DEVICE inline double uniform53(uint32_t low, uint32_t high) {
  return static_cast<double>((uint64_t{high} << 32 | low) >> 11) * 0x1p-53;
}

// Standard normal of four uniform words (Box & Muller, "A Note on the Generation of Random Normal Deviates",
// 1958). The logarithm's argument lies in (0, 1].
LETHE_HOST_DEVICE inline double standard_normal(const PhiloxWords& w) {
  const double u1 = uniform53(w.word[0], w.word[1]) + 0x1p-53, u2 = uniform53(w.word[2], w.word[3]);
  return std::sqrt(-2.0 * std::log(u1)) * std::cos(2.0 * std::numbers::pi * u2);
}

}  // namespace lethe::kernels

namespace lethe::kernels::cpu {

// Normal with mean 0.
template <class T>
void normal(Rows<T> y, double deviation, RandomStream stream);

// Uniform in [-bound, bound).
template <class T>
void uniform(Rows<T> y, double bound, RandomStream stream);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

// The same numbers but for the last bits of the double functions.
template <class T>
void normal(Rows<T> y, double deviation, RandomStream random, Stream stream);
template <class T>
void uniform(Rows<T> y, double bound, RandomStream random, Stream stream);

}  // namespace lethe::kernels::cuda
