// The instructions behind the thin products: copies into shared memory that run by themselves, loads of
// fragments, products of them, and the blocks of a cluster. Formats: PTX ISA 8.x, "cp.async", "ldmatrix",
// "mma.m16n8k16".
#pragma once

#include <cooperative_groups.h>

#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {

__device__ inline unsigned char* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char thin_shared[];
  return thin_shared;
}

__device__ inline uint32_t shared_address(const void* at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(at));
}

// Starts copying 16 bytes. kAhead: what comes into the second-level cache at once, 128 or 256 bytes.
template <int kAhead>
__device__ inline void copy_piece(uint32_t to, const bf16* from) {
  static_assert(kAhead == 128 || kAhead == 256);
  if constexpr (kAhead == 256) {
    asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
  } else {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
  }
}

// The first `bytes` of 16 come from `from`, which is not read where bytes is 0; the others are zero.
__device__ inline void copy_part(uint32_t to, const bf16* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}

__device__ inline void close_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// All groups but the `most` newest have arrived: what this thread copied, that is.
template <int most>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(most) : "memory");
}

// Four matrices of 8 x 8, each lane giving the address of a row of one: of matrix lane / 8, row lane % 8. A
// lane gets two neighbours of row lane / 4 of each, or of its column where turned.
template <bool turned>
__device__ inline void load_fragments(uint32_t (&to)[4], uint32_t from) {
  if constexpr (turned) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(from)
                 : "memory");
  }
}

// sum[16 x 8] += a[16 x 16] b[16 x 8].
__device__ inline void multiply(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline void sync_block() {
  __syncthreads();
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
// Of the blocks of a cluster; all their shared memory is in sight between two of these.
__device__ inline void sync_cluster() {
  cooperative_groups::this_cluster().sync();
}
__device__ inline int cluster_rank() {
  return static_cast<int>(cooperative_groups::this_cluster().block_rank());
}
__device__ inline int cluster_size() {
  return static_cast<int>(cooperative_groups::this_cluster().num_blocks());
}
// The same place in the shared memory of a block of the cluster.
__device__ inline const float4* in_block(const float* here, int rank) {
  return reinterpret_cast<const float4*>(
      cooperative_groups::this_cluster().map_shared_rank(here, static_cast<unsigned>(rank)));
}
#endif

}  // namespace lethe::kernels::cuda
