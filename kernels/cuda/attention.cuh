// What attention's forward and backward passes share on the GPU: square tiles of queries and keys in shared
// memory, widened to the compute type, and two products of tiles. A block has 16 x 16 threads; of a tile's
// scores each has every 16th row and every 16th column, of an output tile every 16th row and columns in
// fours.
#pragma once

#include <math_constants.h>

#include "kernels/attention_dropout.h"
#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {

constexpr int kSide = 16;
constexpr int kAttentionThreads = kSide * kSide;

// D: head_dim rounded up to 64 or 128; elements beyond head_dim are zero.
template <class C, int D>
struct Tiles {
  static constexpr int length = sizeof(C) == 8 ? 32 : 64;  // queries or keys of a tile
  static constexpr int each = length / kSide;
  static constexpr int columns = D / kSide;
  // Padded so that rows start in different banks, and still on 16 bytes.
  static constexpr int pitch = D + 4;
  static constexpr int score_pitch = length + 4;
  static constexpr int elements = length * pitch;
  static constexpr int score_elements = length * score_pitch;
};

// Rows [first, first + count) of a head's columns; the rest of the tile is zero.
template <int D, class T>
__device__ void load_tile(const Rows<const T>& x, int64_t first, int count, int64_t column, int head_dim,
                          compute_t<T>* tile) {
  using L = Tiles<compute_t<T>, D>;
  for (int i = static_cast<int>(threadIdx.x); i < L::length * D; i += kAttentionThreads) {
    const int r = i / D, c = i % D;
    const bool inside = r < count && c < head_dim;
    tile[r * L::pitch + c] = inside ? widen(row_of(x, first + r)[column + c]) : compute_t<T>(0);
  }
}

// s[i][j] = a[row ty + 16 i] . b[row tx + 16 j].
template <int D, class C, int R = Tiles<C, D>::each>
__device__ void products_of_rows(const C* a, const C* b, int head_dim, C (&s)[R][R]) {
  constexpr int kPitch = Tiles<C, D>::pitch;
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
#pragma unroll
  for (int i = 0; i < R; ++i) {
#pragma unroll
    for (int j = 0; j < R; ++j) s[i][j] = 0;
  }
  for (int d = 0; d < head_dim; d += 4) {
    Pack<C, 4> x[R], y[R];
#pragma unroll
    for (int i = 0; i < R; ++i) {
      x[i] = *reinterpret_cast<const Pack<C, 4>*>(a + (ty + kSide * i) * kPitch + d);
      y[i] = *reinterpret_cast<const Pack<C, 4>*>(b + (tx + kSide * i) * kPitch + d);
    }
#pragma unroll
    for (int e = 0; e < 4; ++e) {
#pragma unroll
      for (int i = 0; i < R; ++i) {
#pragma unroll
        for (int j = 0; j < R; ++j) s[i][j] += x[i].at[e] * y[j].at[e];
      }
    }
  }
}

// o[i][4 j + e] += sum_k p[row ty + 16 i][k] * x[k][64 j + 4 tx + e].
template <int D, class C, int R = Tiles<C, D>::each>
__device__ void add_weighted_rows(const C* p, const C* x, C (&o)[R][D / kSide]) {
  using L = Tiles<C, D>;
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  for (int k = 0; k < L::length; k += 4) {
    Pack<C, 4> w[R];
#pragma unroll
    for (int i = 0; i < R; ++i)
      w[i] = *reinterpret_cast<const Pack<C, 4>*>(p + (ty + kSide * i) * L::score_pitch + k);
#pragma unroll
    for (int kk = 0; kk < 4; ++kk) {
#pragma unroll
      for (int j = 0; j < D / 64; ++j) {
        const auto v = *reinterpret_cast<const Pack<C, 4>*>(x + (k + kk) * L::pitch + 64 * j + 4 * tx);
#pragma unroll
        for (int i = 0; i < R; ++i) {
#pragma unroll
          for (int e = 0; e < 4; ++e) o[i][4 * j + e] += w[i].at[kk] * v.at[e];
        }
      }
    }
  }
}

// Writes an output tile's rows [first, first + count), each times factor(i) for a thread's i-th row.
template <int D, class T, class Factor, int R = Tiles<compute_t<T>, D>::each>
__device__ void store_tile(const compute_t<T> (&o)[R][D / kSide], const Rows<T>& to, int64_t first, int count,
                           int64_t column, int head_dim, Write write, const Factor& factor) {
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
#pragma unroll
  for (int i = 0; i < R; ++i) {
    const int r = ty + kSide * i;
    if (r >= count) continue;
    T* row = row_of(to, first + r) + column;
    const compute_t<T> f = factor(i);
#pragma unroll
    for (int c = 0; c < D / kSide; ++c) {
      const int at = 64 * (c / 4) + 4 * tx + c % 4;
      if (at < head_dim) store(row + at, Values<T, 1>{o[i][c] * f}, write);
    }
  }
}

// The first key that query i of a row sees; i + 1 if it sees none.
__device__ inline int first_key(const AttentionShape& shape, const int32_t* row_document_start, int i) {
  const int in_document = min(max(row_document_start[i], 0), i + 1);
  return shape.window > 0 ? max(in_document, i - static_cast<int>(min(shape.window, shape.tokens)) + 1)
                          : in_document;
}

// The keys that the queries of a tile do not see although they stand between the first and the last that they
// see: kernels/attention.h's branches.
template <int length>
struct Hidden {
  int from[length], to[length];

  // first: the tile's first token among all. Call before a __syncthreads().
  __device__ void load(const AttentionShape& shape, const int32_t* hidden, int64_t first, int queries) {
    const int i = static_cast<int>(threadIdx.x);
    if (i >= length) return;
    from[i] = i < queries ? hidden[first + i] : 0;
    to[i] = i < queries ? hidden[shape.batch * shape.tokens + first + i] : 0;
  }
  __device__ bool hide(int query, int key) const { return key >= from[query] && key < to[query]; }
  // Whether no query sees any of the keys [begin, end).
  __device__ bool hide_from_all(int begin, int end, int queries) const {
    bool all = true;
    for (int i = 0; i < queries; ++i) all = all && from[i] <= begin && to[i] >= end;
    return all;
  }
};

// kernels::AttentionDropout as a kernel takes it; without a rate nothing of it is read.
template <class C>
struct Dropped {
  cpu::DropoutKey key;
  uint32_t threshold = 0;
  C scale = 1;

  __host__ explicit Dropped(const AttentionDropout* dropout) {
    if (!dropout) return;
    key = dropout->key;
    threshold = dropout->threshold();
    scale = static_cast<C>(dropout->scale());
  }
  __device__ AttentionMask mask(const AttentionShape& shape, int64_t b, int64_t h) const {
    return AttentionMask::of(shape, key, threshold, b, h);
  }
};

// Whether one pair is kept: for threads of whose pairs no four share their words.
__device__ inline bool keeps(const AttentionMask& mask, int query, int key) {
  const PhiloxWords drawn = mask.words(query, key);
  // Chosen without an index, which would put the words in memory.
  const uint32_t of_low = key & 8 ? drawn.word[1] : drawn.word[0];
  const uint32_t of_high = key & 8 ? drawn.word[3] : drawn.word[2];
  return mask.keeps(query & 8 ? of_high : of_low);
}

// What a forward pass does beside the formula without branches or dropout; never both.
enum class Beside { nothing, branches, dropout };

// Calls body.operator()<D>() with head_dim rounded up.
template <class Body>
void dispatch_head_dim(int64_t head_dim, const Body& body) {
  if (head_dim <= 64) return body.template operator()<64>();
  body.template operator()<128>();
}

// Lets a kernel have this much shared memory for the tiles.
template <class Kernel>
void allow_shared(Kernel kernel, size_t bytes) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
}

extern __shared__ __align__(16) unsigned char attention_memory[];

}  // namespace lethe::kernels::cuda
