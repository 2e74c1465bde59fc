// A row's largest value and its first place, found by a block.
#pragma once

#include <math_constants.h>

#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {

template <class C>
struct Best {
  C value;
  int32_t place;

  __device__ Best join(const Best& other) const {
    const bool better = other.value > value || (other.value == value && other.place < place);
    return better ? other : *this;
  }
};

// For thread 0 alone; INT32_MAX: nothing but what is not a number. shared: one of each warp.
template <class T>
__device__ Best<compute_t<T>> best_of_row(const T* x, int64_t width, Best<compute_t<T>>* shared) {
  using C = compute_t<T>;
  Best<C> best{-static_cast<C>(CUDART_INF), INT32_MAX};
  for (int64_t j = threadIdx.x; j < width; j += blockDim.x)
    best = best.join({widen(x[j]), static_cast<int32_t>(j)});
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    best = best.join(
        {__shfl_xor_sync(0xffffffffu, best.value, step), __shfl_xor_sync(0xffffffffu, best.place, step)});
  }
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = best;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (unsigned w = 1; w < blockDim.x / 32; ++w) best = best.join(shared[w]);
  }
  return best;
}

}  // namespace lethe::kernels::cuda
