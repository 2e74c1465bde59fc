// How the normalisation's kernels hold a row: a block a row, V packs of N elements in each thread's
// registers, so that a row is read once however often it is used.
#pragma once

#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {

// Wider rows, and rows off the 16-byte boundaries, take the kernels that read a row twice.
constexpr int kWidestRow = 8192;
template <class T>
constexpr int kRowThreads = kWidestRow / (4 * kVector<T>);  // 4 packs a thread at most

// Calls body.operator()<V>(threads) for the fewest packs a thread that hold a row of this width.
template <class T, class Body>
void for_row_packs(int64_t width, const Body& body) {
  const auto packs = static_cast<int>(width / kVector<T>);
  constexpr int most = kRowThreads<T>;
  if (packs <= most) return body.template operator()<1>(threads_for(packs, most));
  if (packs <= 2 * most) return body.template operator()<2>(threads_for((packs + 1) / 2, most));
  body.template operator()<4>(threads_for((packs + 3) / 4, most));
}

template <class T, class... Other>
bool fits_row_packs(const T* gain, const Rows<const T>& x, const Other&... other) {
  return x.width % kVector<T> == 0 && x.width <= kWidestRow && aligned(x) && (aligned(other) && ...) &&
         reinterpret_cast<uintptr_t>(gain) % 16 == 0;
}

// The sum over the block's threads, for each of them. Only one barrier: the next sum takes another `shared`.
template <class C>
__device__ inline C row_sum(C value, C* shared) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  const int warps = static_cast<int>(blockDim.x) / 32;
  if (warps == 1) return value;
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  value = shared[0];
  for (int w = 1; w < warps; ++w) value += shared[w];
  return value;
}

}  // namespace lethe::kernels::cuda
