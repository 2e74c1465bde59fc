// A product with one thin side: its time is that of reading the large operand once. A block has the whole
// thin side and a tile of the wide one; several stages of copies are under way while it multiplies. The
// blocks of a cluster share a tile and split the sum; they join the parts through each other's shared memory,
// in order.
#pragma once

#include "kernels/cuda/matmul_thin_tile.cuh"

namespace lethe::kernels::cuda {

struct ThinProduct {
  ThinOperand wide, thin;
  int64_t depth;
  void* out;  // [wide, thin], or [thin, wide] where turned
  int64_t pitch;
  float alpha;
  bool turned, is_float;
  Write write;
};

// kWide x kThin outputs a block; kAcross warps share the wide side, the others the thin one.
template <int wide, int thin, int across, int stages, int blocks>
struct ThinShape {
  static constexpr int kWide = wide, kThin = thin, kStages = stages, kBlocks = blocks;
  static constexpr int kAcross = across, kAlong = kThinThreads / 32 / across;
  static constexpr int kWideWarp = wide / kAcross, kThinWarp = thin / kAlong;
  static constexpr int kStage = (wide + thin) * kDepth * 2;
  static constexpr int kShared = stages * kStage;
  // Lines of the sums in shared memory; the padding keeps a warp's stores in different banks.
  static constexpr int kLine = thin + 8, kTurnedLine = wide + 4;
  static_assert(kWideWarp % 16 == 0 && kThinWarp % 16 == 0);
  static_assert(kLine * wide * 4 <= kShared && kTurnedLine * thin * 4 <= kShared);
};

template <class Shape>
struct ThinSums {
  float at[Shape::kWideWarp / 16][Shape::kThinWarp / 8][4];
};

// Adds the products of one stage.
template <class Shape, class Wide, class Thin>
__device__ inline void multiply_stage(ThinSums<Shape>& sums, uint32_t stage, int row, int column) {
  constexpr int kRows = Shape::kWideWarp / 16, kColumns = Shape::kThinWarp / 16;
#pragma unroll
  for (int step = 0; step < kDepth / 16; ++step) {
    uint32_t a[kRows][4], b[kColumns][4];
#pragma unroll
    for (int i = 0; i < kRows; ++i) Wide::template load<true>(a[i], stage, row + 16 * i, step);
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
      Thin::template load<false>(b[j], stage + Wide::kBytes, column + 16 * j, step);
    }
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        multiply(sums.at[i][2 * j], a[i], b[j][0], b[j][1]);
        multiply(sums.at[i][2 * j + 1], a[i], b[j][2], b[j][3]);
      }
    }
  }
}

// Lays a warp's sums into shared memory, in the output's order.
template <class Shape>
__device__ inline void put_sums(float* to, const ThinSums<Shape>& sums, int row, int column, bool turned) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int i = 0; i < Shape::kWideWarp / 16; ++i) {
#pragma unroll
    for (int j = 0; j < Shape::kThinWarp / 8; ++j) {
      const float(&sum)[4] = sums.at[i][j];
      const int r = row + 16 * i + lane / 4, c = column + 8 * j + lane % 4 * 2;
      if (turned) {
        float* const at = to + c * Shape::kTurnedLine + r;
        at[0] = sum[0], at[Shape::kTurnedLine] = sum[1];
        at[8] = sum[2], at[8 + Shape::kTurnedLine] = sum[3];
      } else {
        float* const at = to + r * Shape::kLine + c;
        *reinterpret_cast<float2*>(at) = make_float2(sum[0], sum[1]);
        *reinterpret_cast<float2*>(at + 8 * Shape::kLine) = make_float2(sum[2], sum[3]);
      }
    }
  }
}

template <class C>
__device__ inline void store_sums(C* to, const float (&sums)[4], int64_t count, float alpha, Write write) {
  if (count >= 4) {
    store<4>(to, Values<C, 4>{alpha * sums[0], alpha * sums[1], alpha * sums[2], alpha * sums[3]}, write);
    return;
  }
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    if (i < count) store<1>(to + i, Values<C, 1>{alpha * sums[i]}, write);
  }
}

// Joins the parts of the cluster's blocks and stores this block's share of the tile: kRows lines of kWidth.
template <int kRows, int kWidth, int kLine>
__device__ inline void join_parts(const ThinProduct& p, const float* parts, int64_t top, int64_t left) {
  constexpr int kMostParts = 8, kVectors = kWidth / 4;
  const int rank = cluster_rank(), size = cluster_size();
  const int64_t rows = p.turned ? p.thin.size : p.wide.size, width = p.turned ? p.wide.size : p.thin.size;
  for (int v = rank * kThinThreads + static_cast<int>(threadIdx.x); v < kRows * kVectors;
       v += size * kThinThreads) {
    const int line = v / kVectors, column = v % kVectors * 4;
    if (top + line >= rows || left + column >= width) continue;
    float4 part[kMostParts];
#pragma unroll
    for (int i = 0; i < kMostParts; ++i) {
      if (i < size) part[i] = *in_block(parts + line * kLine + column, i);
    }
    float sums[4] = {part[0].x, part[0].y, part[0].z, part[0].w};
#pragma unroll
    for (int i = 1; i < kMostParts; ++i) {
      if (i < size) sums[0] += part[i].x, sums[1] += part[i].y, sums[2] += part[i].z, sums[3] += part[i].w;
    }
    const int64_t at = (top + line) * p.pitch + left + column, count = width - left - column;
    if (p.is_float) {
      store_sums(static_cast<float*>(p.out) + at, sums, count, p.alpha, p.write);
    } else {
      store_sums(static_cast<bf16*>(p.out) + at, sums, count, p.alpha, p.write);
    }
  }
}

// A cluster for each tile of the wide side.
template <class Shape, Lie wide_lie, Lie thin_lie>
__global__ void __launch_bounds__(kThinThreads, Shape::kBlocks) thin_product(const ThinProduct p) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  // The wide operand's next lines are wanted soon, the thin one's are in the cache.
  using Wide = ThinTile<wide_lie, Shape::kWide, 256>;
  using Thin = ThinTile<thin_lie, Shape::kThin, 128>;
  constexpr int kAhead = Shape::kStages - 1;
  unsigned char* const memory = dynamic_shared();
  const uint32_t shared = shared_address(memory);
  const int rank = cluster_rank(), size = cluster_size();
  const int64_t first = static_cast<int64_t>(blockIdx.x) / size * Shape::kWide;
  const int steps = static_cast<int>((p.depth + kDepth - 1) / kDepth);
  const int begin = steps * rank / size, count = steps * (rank + 1) / size - begin;
  const auto copy = [&](int step, int slot) {
    const uint32_t stage = shared + static_cast<uint32_t>(slot * Shape::kStage);
    const int64_t term = static_cast<int64_t>(begin + step) * kDepth;
    Wide::copy(stage, p.wide, first, term, p.depth);
    Thin::copy(stage + Wide::kBytes, p.thin, 0, term, p.depth);
  };
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int row = warp % Shape::kAcross * Shape::kWideWarp, column = warp / Shape::kAcross * Shape::kThinWarp;
  ThinSums<Shape> sums{};
#pragma unroll
  for (int s = 0; s < kAhead; ++s) {
    if (s < count) copy(s, s);
    close_copies();
  }
  int slot = 0, free = kAhead;
  for (int s = 0; s < count; ++s) {
    wait_for_copies<kAhead - 1>();
    sync_block();
    if (s + kAhead < count) copy(s + kAhead, free);
    close_copies();
    multiply_stage<Shape, Wide, Thin>(sums, shared + static_cast<uint32_t>(slot * Shape::kStage), row,
                                      column);
    slot = slot + 1 == Shape::kStages ? 0 : slot + 1;
    free = free + 1 == Shape::kStages ? 0 : free + 1;
  }
  wait_for_copies<0>();
  sync_block();
  auto* const parts = reinterpret_cast<float*>(memory);
  put_sums(parts, sums, row, column, p.turned);
  sync_cluster();
  if (p.turned) {
    join_parts<Shape::kThin, Shape::kWide, Shape::kTurnedLine>(p, parts, 0, first);
  } else {
    join_parts<Shape::kWide, Shape::kThin, Shape::kLine>(p, parts, first, 0);
  }
  sync_cluster();  // no block leaves while another reads its part
#endif
}

}  // namespace lethe::kernels::cuda
