// What happens to one element of a parameter, the same on every device: additions and multiplications are
// rounded one by one or fused where it says so, which is why the files that include this are compiled without
// contraction. The formulas stand in optimizer.h.
#pragma once

#include <cmath>
#include <cstring>

#include "kernels/optimizer.h"
#include "kernels/philox.h"

namespace lethe::kernels {

// What an update needs of a step, in the type C it computes in; step_constants works it out.
template <class C>
struct StepConstants {
  C scale;                       // of the gradient; not finite: nothing is changed
  C beta1, rest1, beta2, rest2;  // rest = 1 - beta
  C rate;                        // AdamW's divided by 1 - b1^t
  C root_correction, epsilon;    // 1 / sqrt(1 - b2^t)
  C decay;
};

// x^n by squaring: std::pow has other last bits on other devices.
LETHE_HOST_DEVICE inline double whole_power(double x, int64_t n) {
  double power = 1;
  for (; n > 0; n /= 2) {
    if (n % 2 == 1) power *= x;
    x *= x;
  }
  return power;
}

LETHE_HOST_DEVICE inline double decay_of(const UpdateConstants& constants, double learning_rate) {
  if (!constants.decoupled_decay) return learning_rate * constants.weight_decay;
  // A peak of zero trains nothing, so nothing decays either.
  if (constants.peak_learning_rate == 0) return 0;
  return learning_rate / constants.peak_learning_rate * constants.weight_decay;
}

// `corrected`: for the bias of averages that start at zero (AdamW).
template <class C>
LETHE_HOST_DEVICE StepConstants<C> step_constants(const UpdateConstants& k, double learning_rate,
                                                  int64_t step, double scale, bool corrected) {
  const double first = corrected ? 1 - whole_power(k.beta1, step) : 1;
  const double second = corrected ? 1 - whole_power(k.beta2, step) : 1;
  return {static_cast<C>(scale),
          static_cast<C>(k.beta1),
          static_cast<C>(1 - k.beta1),
          static_cast<C>(k.beta2),
          static_cast<C>(1 - k.beta2),
          static_cast<C>(learning_rate / first),
          static_cast<C>(1 / sqrt(second)),
          static_cast<C>(k.epsilon),
          static_cast<C>(decay_of(k, learning_rate))};
}

LETHE_HOST_DEVICE inline double fused(double a, double b, double c) {
  return fma(a, b, c);
}
LETHE_HOST_DEVICE inline float fused(float a, float b, float c) {
  return fmaf(a, b, c);
}
LETHE_HOST_DEVICE inline double root(double x) {
  return sqrt(x);
}
LETHE_HOST_DEVICE inline float root(float x) {
  return sqrtf(x);
}

// step: w the truth, g the gradient times the scale; changes the averages, returns the new w. The decay is
// subtracted: in float a factor 1 - decay knows decays of 1e-6 to one digit only.
struct AdamWRule {
  static constexpr bool has_v = true;
  template <class C>
  LETHE_HOST_DEVICE static C step(const StepConstants<C>& k, C w, C g, C& m, C& v) {
    m = fused(k.beta1, m, k.rest1 * g);
    v = fused(k.beta2, v, k.rest2 * (g * g));
    const C direction = m / fused(root(v), k.root_correction, k.epsilon);
    return fused(-k.rate, direction, fused(-k.decay, w, w));
  }
};
struct LionRule {
  static constexpr bool has_v = false;
  template <class C>
  LETHE_HOST_DEVICE static C step(const StepConstants<C>& k, C w, C g, C& m, C&) {
    const C direction = fused(k.beta1, m, k.rest1 * g);
    m = fused(k.beta2, m, k.rest2 * g);
    return fused(-k.decay, w, w) - (direction > 0 ? k.rate : direction < 0 ? -k.rate : C(0));
  }
};

LETHE_HOST_DEVICE inline uint32_t bits_of(float value) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(value);
#else
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
#endif
}
LETHE_HOST_DEVICE inline float float_of(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

// ---- the split master: a float w as its nearest bf16 and its own low 16 bits.
// Adding half a unit and cutting rounds to nearest, ties away from zero (to the even neighbour they cannot
// go: an even bf16 is then the rounding of 2^16 + 1 floats, one more than 16 bits tell apart). It carries
// into the upper half exactly where the low half is 0x8000 or more, so the carry is known and is undone.
struct SplitFloat {
  uint16_t nearest;    // bits of the bf16
  uint16_t remainder;  // the low half of the float's bits
};
LETHE_HOST_DEVICE inline SplitFloat split(float w) {
  const uint32_t u = bits_of(w);
  return {static_cast<uint16_t>((u + 0x8000u) >> 16), static_cast<uint16_t>(u)};
}
LETHE_HOST_DEVICE inline float joined(SplitFloat s) {
  const uint32_t carry = s.remainder >> 15;
  return float_of(((static_cast<uint32_t>(s.nearest) - carry) << 16) | s.remainder);
}

// ---- stochastic rounding to bf16 (Gupta et al., "Deep Learning with Limited Numerical Precision", 2015):
// adds 16 random bits below the bf16's last and cuts, so the value is the expected one. An infinity has
// nothing to carry from; what is no number is only cut. Without a branch: either side would draw bits of its
// own.
LETHE_HOST_DEVICE inline uint16_t rounded_at_random(float value, uint32_t random16) {
  return static_cast<uint16_t>((bits_of(value) + (value == value ? random16 : 0)) >> 16);
}

// What is rounded, each with bits of its own.
enum class Rounded : uint32_t { weight, m, v };

// The bits for elements 8 * group to 8 * group + 7 (counted row by row, gaps left out) of a tensor in a step.
LETHE_HOST_DEVICE inline PhiloxWords rounding_words(uint64_t seed, uint64_t step, uint32_t stream,
                                                    uint64_t group) {
  constexpr uint64_t kPurpose = 0x726f756e64696e67u;  // apart from dropout's, which has the seed as key
  return philox(seed ^ kPurpose, group, stream + step * 0x9E3779B97F4A7C15u);
}
// 16 of the 128 bits, for what is rounded of the group's element `at` of 0 to 7. One element's weight, m and
// v take different ones, so their errors are independent of each other; what is shared is shared with another
// kind of a neighbour (element 0's weight, 1's m and 2's v), whose error has no part in this element's, and
// only for one step. Drawing for each kind apart would cost three times the arithmetic. Chosen without an
// index, which on a GPU would put the words in memory.
LETHE_HOST_DEVICE inline uint32_t rounding_bits(const PhiloxWords& words, Rounded what, int at) {
  at ^= static_cast<int>(what);
  const uint32_t low = at & 2 ? words.word[1] : words.word[0];
  const uint32_t high = at & 2 ? words.word[3] : words.word[2];
  const uint32_t word = at & 4 ? high : low;
  return at & 1 ? word >> 16 : word & 0xffffu;
}

}  // namespace lethe::kernels
