// Attention on the tensor cores for bf16 storage: what its passes share. A warp has 16 rows of a product and
// a block of four warps 64; products are m16n8k16 with float sums, whose layout over a warp's lanes is PTX's:
// lane 4 g + t has columns 2 t and 2 t + 1 of rows g and g + 8 of each 16 x 8 result. Probabilities are
// rounded to bf16 before they weigh rows; sums and the softmax stay in float.
#pragma once

#include "kernels/cuda/attention.cuh"

namespace lethe::kernels::cuda {

constexpr int kMmaThreads = 128;
constexpr int kMmaLength = 64;  // queries or keys of a tile

// Rows are padded by 16 bytes: eight of them lie in different banks.
template <int D>
constexpr int kMmaPitch = D + 8;
template <int D>
constexpr int kMmaTile = kMmaLength* kMmaPitch<D>;  // elements

using Score = float[kMmaLength / 8][4];        // a warp's 16 x 64 results
using Weights = uint32_t[kMmaLength / 16][4];  // the same as left operands of the next product
template <int D>
using Result = float[D / 8][4];  // a warp's 16 x D results

struct Lane {
  int g, t, warp, row;  // row: the lane's first row within the tile; the second is 8 further
  __device__ Lane() {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    g = lane / 4;
    t = lane % 4;
    warp = static_cast<int>(threadIdx.x) / 32;
    row = 16 * warp + g;
  }
};

// Rows [first, first + count) of a head's columns, zero elsewhere. wide: rows and columns start on 16 bytes.
template <int D>
__device__ void load_mma_tile(const Rows<const bf16>& x, int64_t first, int count, int64_t column,
                              int head_dim, bool wide, bf16* tile) {
  constexpr int kAcross = D / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kMmaLength * kAcross; i += kMmaThreads) {
    const int r = i / kAcross, c = i % kAcross * 8;
    Pack<bf16, 8> piece{};
    if (r < count && c < head_dim) {
      const bf16* from = row_of(x, first + r) + column + c;
      if (wide) {
        piece = *reinterpret_cast<const Pack<bf16, 8>*>(from);
      } else {
        for (int e = 0; e < 8 && c + e < head_dim; ++e)
          piece.words[e / 2] |= static_cast<uint32_t>(from[e].bits) << (e % 2 * 16);
      }
    }
    *reinterpret_cast<Pack<bf16, 8>*>(tile + r * kMmaPitch<D> + c) = piece;
  }
}

__device__ inline void load_matrices(uint32_t (&to)[4], const bf16* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address));
}
__device__ inline void load_matrices_turned(uint32_t (&to)[4], const bf16* row) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address));
}
__device__ inline void multiply_add(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, "
      "%2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline uint32_t pack_pair(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

// s = the warp's 16 rows of a times all 64 rows of b.
template <int D>
__device__ void rows_by_rows(const bf16* a, const bf16* b, Score& s) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  constexpr int kPitch = kMmaPitch<D>;
  const bf16* a_row = a + (16 * warp + lane % 16) * kPitch + lane / 16 * 8;
  const bf16* b_row = b + (lane % 8 + lane / 16 * 8) * kPitch + lane / 8 % 2 * 8;
#pragma unroll
  for (auto& columns : s) {
#pragma unroll
    for (float& v : columns) v = 0;
  }
#pragma unroll
  for (int k = 0; k < D; k += 16) {
    uint32_t left[4];
    load_matrices(left, a_row + k);
#pragma unroll
    for (int n = 0; n < kMmaLength; n += 16) {
      uint32_t right[4];
      load_matrices(right, b_row + n * kPitch + k);
      multiply_add(s[n / 8], left, right[0], right[1]);
      multiply_add(s[n / 8 + 1], left, right[2], right[3]);
    }
  }
}

__device__ inline void weights_of(const Score& s, Weights& p) {
#pragma unroll
  for (int k = 0; k < kMmaLength / 16; ++k) {
    p[k][0] = pack_pair(s[2 * k][0], s[2 * k][1]);
    p[k][1] = pack_pair(s[2 * k][2], s[2 * k][3]);
    p[k][2] = pack_pair(s[2 * k + 1][0], s[2 * k + 1][1]);
    p[k][3] = pack_pair(s[2 * k + 1][2], s[2 * k + 1][3]);
  }
}

// Which of a lane's results are kept, bit 4 n + e for result [n][e]. query, key: the lane's first of each;
// queries, or as `rows_are_keys` keys, are the rows. Both tiles begin at multiples of 16, so that results n,
// n + 1 and rows 8 apart share their words (kernels/attention_dropout.h).
template <bool rows_are_keys>
__device__ uint32_t kept_results(const AttentionMask& mask, int query, int key) {
  uint32_t kept = 0;
#pragma unroll
  for (int n = 0; n < kMmaLength / 8; n += 2) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const int along = 8 * n + e;
      const PhiloxWords drawn =
          rows_are_keys ? mask.words(query + along, key) : mask.words(query, key + along);
      const auto put = [&](uint32_t word, int bit) { kept |= (mask.keeps(word) ? 1u : 0u) << bit; };
      put(drawn.word[0], 4 * n + e);
      put(drawn.word[rows_are_keys ? 2 : 1], 4 * (n + 1) + e);
      put(drawn.word[rows_are_keys ? 1 : 2], 4 * n + e + 2);
      put(drawn.word[3], 4 * (n + 1) + e + 2);
    }
  }
  return kept;
}
__device__ inline bool is_kept(uint32_t kept, int n, int e) {
  return (kept >> (4 * n + e) & 1u) != 0;
}

// o += the warp's 16 rows of weights times the 64 rows of x.
template <int D>
__device__ void add_weighted_rows(const Weights& p, const bf16* x, Result<D>& o) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  constexpr int kPitch = kMmaPitch<D>;
  const bf16* row = x + (lane % 8 + lane / 8 % 2 * 8) * kPitch + lane / 16 * 8;
#pragma unroll
  for (int k = 0; k < kMmaLength / 16; ++k) {
#pragma unroll
    for (int n = 0; n < D; n += 16) {
      uint32_t right[4];
      load_matrices_turned(right, row + k * 16 * kPitch + n);
      multiply_add(o[n / 8], p[k], right[0], right[1]);
      multiply_add(o[n / 8 + 1], p[k], right[2], right[3]);
    }
  }
}

// Writes the lane's two rows of a result, times their factors; rows at or beyond `count` do not exist.
template <int D>
__device__ void store_result(const Result<D>& o, const Rows<bf16>& to, int64_t first, int count,
                             int64_t column, int head_dim, Write write, float factor0, float factor1) {
  const Lane lane;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int r = lane.row + 8 * half;
    if (r >= count) continue;
    bf16* row = row_of(to, first + r) + column;
    const float factor = half ? factor1 : factor0;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int c = 8 * n + 2 * lane.t + e;
        if (c < head_dim) store(row + c, Values<bf16, 1>{o[n][2 * half + e] * factor}, write);
      }
    }
  }
}

// Whether tiles of all these matrices can be loaded 16 bytes at a time.
template <class... X>
bool mma_wide(int64_t head_dim, const X&... x) {
  return head_dim % 8 == 0 && (aligned(x) && ...);
}

void attention_bf16(const AttentionShape& shape, double scale, Rows<const bf16> q, Rows<const bf16> k,
                    Rows<const bf16> v, const int32_t* document_start, const int32_t* hidden, Rows<bf16> out,
                    float* lse, Stream stream, const AttentionDropout* dropout);

// After delta is known.
void attention_backward_bf16(const AttentionShape& shape, double scale, Rows<const bf16> dout,
                             Rows<const bf16> q, Rows<const bf16> k, Rows<const bf16> v,
                             const int32_t* document_start, const float* lse, const float* delta,
                             AttentionGradient<bf16> dq, AttentionGradient<bf16> dk,
                             AttentionGradient<bf16> dv, Stream stream, const AttentionDropout* dropout);

}  // namespace lethe::kernels::cuda
