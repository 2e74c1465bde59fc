#include "engine/rng.h"

#include "kernels/random.h"

namespace lethe {

double Rng::normal(uint64_t position) const {
  return kernels::standard_normal(philox(seed_, position, stream_));
}

}  // namespace lethe
