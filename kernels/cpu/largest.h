// The largest of a row's values; what is not a number is passed over.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/bf16.h"

namespace lethe::kernels::cpu {

template <class T>
inline compute_t<T> largest(const T* x, int64_t width) {
  using C = compute_t<T>;
  C most = -std::numeric_limits<C>::infinity();
#pragma omp simd reduction(max : most)
  for (int64_t j = 0; j < width; ++j) most = static_cast<C>(x[j]) > most ? static_cast<C>(x[j]) : most;
  return most;
}

}  // namespace lethe::kernels::cpu
