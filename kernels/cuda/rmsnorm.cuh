// How the normalisation's kernels hold a row: a warp a row where rows are narrow, else a block, with V packs
// of N elements in each thread's registers, so that a row is read once however often it is used.
#pragma once

#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {

// Wider rows, and rows off the 16-byte boundaries, take the kernels that read a row twice.
constexpr int kWidestRow = 8192;
template <class T>
constexpr int kRowThreads = kWidestRow / (4 * kVector<T>);  // 4 packs a thread at most

// Rows that one warp takes: no barrier, and hardly a thread without work, where a block of its own would have
// too few bytes in flight (at a width of 576 it would be 72 threads with a pack each).
constexpr int kWarpPacks = 4;  // of a thread
template <class T>
constexpr int kWarpRow = 32 * kWarpPacks* kVector<T>;

// Calls body.operator()<V, kWarp>(threads) for the fewest packs a thread that hold a row of this width.
template <class T, class Body>
void for_row_packs(int64_t width, const Body& body) {
  const auto packs = static_cast<int>(width / kVector<T>);
  constexpr int most = kRowThreads<T>;
  if (packs <= 32) return body.template operator()<1, true>(32);
  if (packs <= 64) return body.template operator()<2, true>(32);
  if (packs <= 96) return body.template operator()<3, true>(32);
  if (packs <= 128) return body.template operator()<4, true>(32);
  if (packs <= most) return body.template operator()<1, false>(threads_for(packs, most));
  if (packs <= 2 * most) return body.template operator()<2, false>(threads_for((packs + 1) / 2, most));
  body.template operator()<4, false>(threads_for((packs + 3) / 4, most));
}

template <class T, class... Other>
bool fits_row_packs(const T* gain, const Rows<const T>& x, const Other&... other) {
  return x.width % kVector<T> == 0 && x.width <= kWidestRow && aligned(x) && (aligned(other) && ...) &&
         reinterpret_cast<uintptr_t>(gain) % 16 == 0;
}

template <class C>
__device__ inline C warp_sum(C value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

// The sum over the block's threads, for each of them. Only one barrier: the next sum takes another `shared`.
template <class C>
__device__ inline C row_sum(C value, C* shared) {
  value = warp_sum(value);
  const int warps = static_cast<int>(blockDim.x) / 32;
  if (warps == 1) return value;
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  value = shared[0];
  for (int w = 1; w < warps; ++w) value += shared[w];
  return value;
}

}  // namespace lethe::kernels::cuda
