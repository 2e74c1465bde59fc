#include "engine/rng.h"

#include <cmath>
#include <numbers>

namespace lethe {

double Rng::normal(uint64_t position) const {
  const PhiloxWords w = philox(seed_, position, stream_);
  const double u1 = (static_cast<double>((uint64_t{w.word[1]} << 32 | w.word[0]) >> 11) + 1.0) * 0x1p-53;
  const double u2 = static_cast<double>((uint64_t{w.word[3]} << 32 | w.word[2]) >> 11) * 0x1p-53;
  return std::sqrt(-2.0 * std::log(u1)) * std::cos(2.0 * std::numbers::pi * u2);
}

}  // namespace lethe
