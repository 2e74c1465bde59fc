// Any product, by tiles: for the combinations of types that no library has.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/matmul_product.h"

namespace lethe::kernels::cuda {

inline constexpr int kTile = 16;

// One output a thread; tiles of both operands widened in shared memory.
template <class A, class B, class C>
__global__ void plain(MatmulForm form, compute_t<C> alpha, Rows<const A> a, Rows<const B> b, Rows<C> c,
                      int64_t depth, Write write) {
  using S = compute_t<C>;
  __shared__ S left[kTile][kTile + 1], right[kTile][kTile + 1];
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  for (int64_t top = static_cast<int64_t>(blockIdx.y) * kTile; top < c.rows;
       top += static_cast<int64_t>(gridDim.y) * kTile) {
    const int64_t row = top + ty, first_column = static_cast<int64_t>(blockIdx.x) * kTile,
                  column = first_column + tx;
    S sum = 0;
    for (int64_t k0 = 0; k0 < depth; k0 += kTile) {
      const int64_t ka = k0 + tx, kb = k0 + ty;
      const bool has_a = row < c.rows && ka < depth, tn = form == MatmulForm::tn, nt = form == MatmulForm::nt;
      left[ty][tx] = has_a ? widen(tn ? row_of(a, ka)[row] : row_of(a, row)[ka]) : S(0);
      const bool has_b = kb < depth && column < c.width;
      right[ty][tx] = has_b ? widen(nt ? row_of(b, column)[kb] : row_of(b, kb)[column]) : S(0);
      __syncthreads();
#pragma unroll
      for (int k = 0; k < kTile; ++k) sum += left[ty][k] * right[k][tx];
      __syncthreads();
    }
    if (row < c.rows && column < c.width) store(row_of(c, row) + column, Values<C, 1>{alpha * sum}, write);
  }
}

template <class A, class B, class C>
void plain_matmul(MatmulForm form, double alpha, Rows<const A> a, Rows<const B> b, Rows<C> c, Write write,
                  Stream stream) {
  const int64_t depth = form == MatmulForm::tn ? a.rows : a.width;
  const dim3 grid(static_cast<unsigned>((c.width + kTile - 1) / kTile),
                  static_cast<unsigned>(std::min<int64_t>((c.rows + kTile - 1) / kTile, 65535)));
  plain<A, B, C><<<grid, dim3(kTile, kTile), 0, native(stream)>>>(form, static_cast<compute_t<C>>(alpha), a,
                                                                  b, c, depth, write);
}

}  // namespace lethe::kernels::cuda
