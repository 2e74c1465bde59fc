// exp for loops that must become vector code.
#pragma once

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace lethe::kernels::cpu {

// e^x for x <= 0 inside a loop marked `omp simd`, where glibc's vector library takes over. That library
// leaves the vector path for results that underflow, so x is bounded where e^x is still a normal number:
// about 1e-35 (float) or 1e-304 (double), nothing beside the 1 that every softmax holds.
template <class C>
inline C softmax_exp(C x) {
  constexpr C lowest = std::is_same_v<C, double> ? C(-700) : C(-80);
  return std::exp(x > lowest ? x : lowest);
}

}  // namespace lethe::kernels::cpu
