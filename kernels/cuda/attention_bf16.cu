// Attention's forward pass on the tensor cores (Dao, "FlashAttention-2", 2023): a warp keeps 16 queries'
// scores, softmax and output in registers; the scores become the next product's left operand where they are.
#include <cmath>

#include "kernels/cuda/attention_bf16.cuh"

namespace lethe::kernels::cuda {
namespace {

constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

// Over the four lanes that share a row.
__device__ float largest_of_quad(float v) {
  v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
  return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
}
__device__ float sum_of_quad(float v) {
  v += __shfl_xor_sync(0xffffffffu, v, 1);
  return v + __shfl_xor_sync(0xffffffffu, v, 2);
}

// One of the lane's two rows: its running maximum, in units of log2, and sum.
struct RowSoftmax {
  float most = -INFINITY, sum = 0;

  // Scores to exp2(score - maximum); returns what the output so far must be multiplied by. half: which row.
  template <int half>
  __device__ float step(Score& s) {
    float top = most;
#pragma unroll
    for (int n = 0; n < kMmaLength / 8; ++n) top = fmaxf(top, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
    top = largest_of_quad(top);
    // A row that has seen nothing yet: any finite number will do.
    const float base = top == -INFINITY ? 0.0f : top;
    const float shrink = exp2f(most - base);
    float added = 0;
#pragma unroll
    for (int n = 0; n < kMmaLength / 8; ++n) {
#pragma unroll
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        s[n][e] = exp2f(s[n][e] - base);
        added += s[n][e];
      }
    }
    sum = sum * shrink + added;
    most = top;
    return shrink;
  }
};

template <int D, Beside beside>
__global__ void __launch_bounds__(kMmaThreads)
    forward(AttentionShape shape, float scale, Rows<const bf16> q, Rows<const bf16> k, Rows<const bf16> v,
            const int32_t* document_start, const int32_t* hidden, Rows<bf16> out, float* lse, bool wide,
            Dropped<float> dropped) {
  constexpr bool branched = beside == Beside::branches;
  bf16* const q_tile = reinterpret_cast<bf16*>(attention_memory);
  bf16 *const k_tile = q_tile + kMmaTile<D>, *const v_tile = k_tile + kMmaTile<D>;
  __shared__ int first_of[kMmaLength];
  const Lane lane;
  const int tokens = static_cast<int>(shape.tokens), d = static_cast<int>(shape.head_dim);
  const int64_t b = blockIdx.y / shape.heads, h = blockIdx.y % shape.heads;
  // Later queries see more keys: the longest blocks start first.
  const int begin = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kMmaLength;
  const int queries = min(kMmaLength, tokens - begin), end = begin + queries;
  const int64_t row = b * tokens, column = h * d, kv_column = h / (shape.heads / shape.kv_heads) * d;

  if (threadIdx.x < kMmaLength) {
    const int i = min(static_cast<int>(threadIdx.x), queries - 1);
    first_of[threadIdx.x] = first_key(shape, document_start + row, begin + i);
  }
  __shared__ Hidden<kMmaLength> gaps;
  if constexpr (branched) gaps.load(shape, hidden, row + begin, queries);
  load_mma_tile<D>(q, row + begin, queries, column, d, wide, q_tile);
  __syncthreads();
  int start = end, all_see = 0;
  for (int i = 0; i < kMmaLength; ++i) {
    start = min(start, first_of[i]);
    all_see = max(all_see, first_of[i]);
  }
  AttentionMask mask;
  if constexpr (beside == Beside::dropout) {
    mask = dropped.mask(shape, b, h);
    start = start / 16 * 16;  // see kept_results; all_see hides what comes in
  }
  Result<D> o = {};
  RowSoftmax softmax[2];
  for (int k0 = start; k0 < end; k0 += kMmaLength) {
    if constexpr (branched) {
      if (gaps.hide_from_all(k0, k0 + kMmaLength, queries)) continue;
    }
    __syncthreads();
    load_mma_tile<D>(k, row + k0, min(kMmaLength, end - k0), kv_column, d, wide, k_tile);
    load_mma_tile<D>(v, row + k0, min(kMmaLength, end - k0), kv_column, d, wide, v_tile);
    __syncthreads();
    Score s;
    rows_by_rows<D>(q_tile, k_tile, s);
    const bool masked = k0 < all_see || k0 + kMmaLength - 1 > begin;
#pragma unroll
    for (int n = 0; n < kMmaLength / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int key = k0 + 8 * n + 2 * lane.t + e % 2, r = lane.row + e / 2 * 8;
        bool unseen = masked && (key < first_of[r] || key > begin + r || key >= end);
        if constexpr (branched) unseen = unseen || gaps.hide(r, key);
        s[n][e] = unseen ? -INFINITY : s[n][e] * (scale * kLog2E);
      }
    }
    const float shrink0 = softmax[0].step<0>(s), shrink1 = softmax[1].step<1>(s);
#pragma unroll
    for (auto& columns : o) {
      columns[0] *= shrink0;
      columns[1] *= shrink0;
      columns[2] *= shrink1;
      columns[3] *= shrink1;
    }
    if constexpr (beside == Beside::dropout) {
      const uint32_t kept = kept_results<false>(mask, begin + lane.row, k0 + 2 * lane.t);
#pragma unroll
      for (int n = 0; n < kMmaLength / 8; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) s[n][e] = is_kept(kept, n, e) ? s[n][e] : 0;
      }
    }
    Weights p;
    weights_of(s, p);
    add_weighted_rows<D>(p, v_tile, o);
  }
  const float sum0 = sum_of_quad(softmax[0].sum), sum1 = sum_of_quad(softmax[1].sum);
  store_result<D>(o, out, row + begin, queries, column, d, Write::overwrite,
                  sum0 == 0 ? 0 : dropped.scale / sum0, sum1 == 0 ? 0 : dropped.scale / sum1);
  if (lane.t != 0) return;
  float* const to = lse + static_cast<int64_t>(blockIdx.y) * tokens + begin;
  if (lane.row < queries) to[lane.row] = softmax[0].most * kLn2 + logf(sum0);
  if (lane.row + 8 < queries) to[lane.row + 8] = softmax[1].most * kLn2 + logf(sum1);
}

}  // namespace

void attention_bf16(const AttentionShape& shape, double scale, Rows<const bf16> q, Rows<const bf16> k,
                    Rows<const bf16> v, const int32_t* document_start, const int32_t* hidden, Rows<bf16> out,
                    float* lse, Stream stream, const AttentionDropout* dropout) {
  const Dropped<float> dropped(dropout);
  const bool wide = mma_wide(shape.head_dim, q, k, v);
  const auto launch = [&]<int D, Beside beside>() {
    constexpr size_t kBytes = 3 * kMmaTile<D> * sizeof(bf16);
    const dim3 grid(static_cast<unsigned>((shape.tokens + kMmaLength - 1) / kMmaLength),
                    static_cast<unsigned>(shape.batch * shape.heads));
    allow_shared(forward<D, beside>, kBytes);
    forward<D, beside><<<grid, kMmaThreads, kBytes, native(stream)>>>(
        shape, static_cast<float>(scale), q, k, v, document_start, hidden, out, lse, wide, dropped);
  };
  dispatch_head_dim(shape.head_dim, [&]<int D>() {
    if (hidden) return launch.template operator()<D, Beside::branches>();
    if (dropout) return launch.template operator()<D, Beside::dropout>();
    launch.template operator()<D, Beside::nothing>();
  });
}

}  // namespace lethe::kernels::cuda
