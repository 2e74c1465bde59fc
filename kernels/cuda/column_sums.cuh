// Sums over the rows of a matrix, one for each column: threads go down the columns side by side, what a block
// or a part has is added in one fixed order.
#pragma once

#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {

constexpr int kColumns = 32, kDown = 16;  // a block's threads, across and down

inline unsigned column_blocks(int64_t width) {
  return static_cast<unsigned>((width + kColumns - 1) / kColumns);
}

// Adds up what the threads of a column hold, in order; the first of them gets the sum.
template <class C>
__device__ C column_sum(C value) {
  __shared__ C shared[kDown][kColumns];
  shared[threadIdx.y][threadIdx.x] = value;
  __syncthreads();
  for (int k = 1; k < kDown; ++k) value += threadIdx.y == 0 ? shared[k][threadIdx.x] : C(0);
  return value;
}

// total[c] = sum over parts of partial[part, c], or total[c] += it. Blocks of kColumns x kDown.
template <class C, class G>
__global__ void add_parts(const C* partial, int64_t parts, int64_t width, G* total, Write write) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  C sum = 0;
  if (column < width) {
#pragma unroll 8
    for (int64_t p = threadIdx.y; p < parts; p += kDown) sum += partial[p * width + column];
  }
  sum = column_sum(sum);
  if (threadIdx.y == 0 && column < width) store(total + column, Values<G, 1>{sum}, write);
}

}  // namespace lethe::kernels::cuda
