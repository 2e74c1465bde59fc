// Attention's gradients on the tensor cores: dq with a block for a tile of queries, dk and dv with one for a
// tile of keys. In the second, rows are keys and columns queries, so that the transposed probabilities are
// ready to weigh rows of dout and q. As in float, nothing is added by two blocks.
#include "kernels/cuda/attention_bf16.cuh"

namespace lethe::kernels::cuda {
namespace {

constexpr float kLog2E = 1.44269504f;

struct Problem {
  AttentionShape shape;
  float scale;
  Rows<const bf16> dout, q, k, v;
  const int32_t* document_start;
  const float *lse, *delta;
  bool wide;
  Dropped<float> dropped;
};

template <int D>
struct Memory {
  bf16 *q, *dout, *k, *v;
  __device__ Memory() {
    q = reinterpret_cast<bf16*>(attention_memory);
    dout = q + kMmaTile<D>;
    k = dout + kMmaTile<D>;
    v = k + kMmaTile<D>;
  }
  static constexpr size_t bytes = 4 * kMmaTile<D> * sizeof(bf16);
};

// Of each query of a tile: the first key it sees, its log-sum-exp in units of log2, and delta. Queries that
// do not exist see nothing.
struct Queries {
  int first[kMmaLength];
  float lse[kMmaLength], delta[kMmaLength];

  __device__ void load(const Problem& a, int64_t row, int64_t head, int begin, int queries) {
    const int i = static_cast<int>(threadIdx.x);
    if (i >= kMmaLength) return;
    const int64_t at = head * a.shape.tokens + begin + i;
    first[i] = i < queries ? first_key(a.shape, a.document_start + row, begin + i) : INT32_MAX;
    lse[i] = i < queries ? a.lse[at] * kLog2E : 0;
    delta[i] = i < queries ? a.delta[at] : 0;
  }
};

template <int D, bool drops>
__global__ void __launch_bounds__(kMmaThreads) query_gradient(Problem a, AttentionGradient<bf16> dq) {
  __shared__ Queries of;
  const Memory<D> memory;
  const Lane lane;
  const int tokens = static_cast<int>(a.shape.tokens), d = static_cast<int>(a.shape.head_dim);
  const int64_t b = blockIdx.y / a.shape.heads, h = blockIdx.y % a.shape.heads;
  const int begin = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kMmaLength;
  const int queries = min(kMmaLength, tokens - begin), end = begin + queries;
  const int64_t row = b * tokens, column = h * d, kv_column = h / (a.shape.heads / a.shape.kv_heads) * d;

  of.load(a, row, blockIdx.y, begin, queries);
  load_mma_tile<D>(a.q, row + begin, queries, column, d, a.wide, memory.q);
  load_mma_tile<D>(a.dout, row + begin, queries, column, d, a.wide, memory.dout);
  __syncthreads();
  int start = end;
  for (int i = 0; i < kMmaLength; ++i) start = min(start, of.first[i]);
  AttentionMask mask;
  if constexpr (drops) {
    mask = a.dropped.mask(a.shape, b, h);
    start = start / 16 * 16;  // see kept_results
  }
  Result<D> o = {};
  for (int k0 = start; k0 < end; k0 += kMmaLength) {
    const int keys = min(kMmaLength, end - k0);
    __syncthreads();
    load_mma_tile<D>(a.k, row + k0, keys, kv_column, d, a.wide, memory.k);
    load_mma_tile<D>(a.v, row + k0, keys, kv_column, d, a.wide, memory.v);
    __syncthreads();
    Score s, dp;
    rows_by_rows<D>(memory.q, memory.k, s);
    rows_by_rows<D>(memory.dout, memory.v, dp);
    uint32_t kept = 0;
    if constexpr (drops) kept = kept_results<false>(mask, begin + lane.row, k0 + 2 * lane.t);
#pragma unroll
    for (int n = 0; n < kMmaLength / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int key = k0 + 8 * n + 2 * lane.t + e % 2, r = lane.row + e / 2 * 8;
        const bool visible = key >= of.first[r] && key <= begin + r && key < end;
        const float p = visible ? exp2f(s[n][e] * (a.scale * kLog2E) - of.lse[r]) : 0;
        if constexpr (drops) dp[n][e] = is_kept(kept, n, e) ? dp[n][e] * a.dropped.scale : 0;
        s[n][e] = p * (dp[n][e] - of.delta[r]);
      }
    }
    Weights ds;
    weights_of(s, ds);
    add_weighted_rows<D>(ds, memory.k, o);
  }
  store_result<D>(o, dq.rows, row + begin, queries, column, d, dq.write, a.scale, a.scale);
}

template <int D, bool drops>
__global__ void __launch_bounds__(kMmaThreads)
    key_gradients(Problem a, AttentionGradient<bf16> dk, AttentionGradient<bf16> dv) {
  __shared__ Queries of;
  const Memory<D> memory;
  const Lane lane;
  const int tokens = static_cast<int>(a.shape.tokens), d = static_cast<int>(a.shape.head_dim);
  const int64_t b = blockIdx.y / a.shape.kv_heads, kv_head = blockIdx.y % a.shape.kv_heads;
  const int64_t group = a.shape.heads / a.shape.kv_heads;
  const int k0 = static_cast<int>(blockIdx.x) * kMmaLength, keys = min(kMmaLength, tokens - k0);
  const int64_t row = b * tokens, kv_column = kv_head * d;
  // With a window, queries further on see none of these keys.
  const int64_t reach = a.shape.window > 0 ? k0 + keys - 1 + a.shape.window : tokens;
  const int end = static_cast<int>(reach < tokens ? reach : tokens);

  load_mma_tile<D>(a.k, row + k0, keys, kv_column, d, a.wide, memory.k);
  load_mma_tile<D>(a.v, row + k0, keys, kv_column, d, a.wide, memory.v);
  Result<D> to_k = {}, to_v = {};
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    AttentionMask mask;
    if constexpr (drops) mask = a.dropped.mask(a.shape, b, h);
    for (int begin = k0; begin < end; begin += kMmaLength) {
      const int queries = min(kMmaLength, tokens - begin);
      __syncthreads();
      of.load(a, row, b * a.shape.heads + h, begin, queries);
      __syncthreads();
      const bool sees = threadIdx.x < kMmaLength && of.first[threadIdx.x] < k0 + keys;
      if (!__syncthreads_or(sees)) continue;
      load_mma_tile<D>(a.q, row + begin, queries, h * d, d, a.wide, memory.q);
      load_mma_tile<D>(a.dout, row + begin, queries, h * d, d, a.wide, memory.dout);
      __syncthreads();
      Score p, ds;
      rows_by_rows<D>(memory.k, memory.q, p);
      rows_by_rows<D>(memory.v, memory.dout, ds);
      uint32_t kept = 0;
      if constexpr (drops) kept = kept_results<true>(mask, begin + 2 * lane.t, k0 + lane.row);
#pragma unroll
      for (int n = 0; n < kMmaLength / 8; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int r = 8 * n + 2 * lane.t + e % 2, key = k0 + lane.row + e / 2 * 8;
          const bool visible = key >= of.first[r] && key <= begin + r && key < k0 + keys;
          p[n][e] = visible ? exp2f(p[n][e] * (a.scale * kLog2E) - of.lse[r]) : 0;
          if constexpr (drops) ds[n][e] = is_kept(kept, n, e) ? ds[n][e] * a.dropped.scale : 0;
          ds[n][e] = p[n][e] * (ds[n][e] - of.delta[r]);
          if constexpr (drops) p[n][e] = is_kept(kept, n, e) ? p[n][e] : 0;
        }
      }
      Weights weights;
      weights_of(p, weights);
      add_weighted_rows<D>(weights, memory.dout, to_v);
      weights_of(ds, weights);
      add_weighted_rows<D>(weights, memory.q, to_k);
    }
  }
  if (dk.rows.data) store_result<D>(to_k, dk.rows, row + k0, keys, kv_column, d, dk.write, a.scale, a.scale);
  if (!dv.rows.data) return;
  const float v_factor = drops ? a.dropped.scale : 1;
  store_result<D>(to_v, dv.rows, row + k0, keys, kv_column, d, dv.write, v_factor, v_factor);
}

}  // namespace

void attention_backward_bf16(const AttentionShape& shape, double scale, Rows<const bf16> dout,
                             Rows<const bf16> q, Rows<const bf16> k, Rows<const bf16> v,
                             const int32_t* document_start, const float* lse, const float* delta,
                             AttentionGradient<bf16> dq, AttentionGradient<bf16> dk,
                             AttentionGradient<bf16> dv, Stream stream, const AttentionDropout* dropout) {
  const Problem a{shape,
                  static_cast<float>(scale),
                  dout,
                  q,
                  k,
                  v,
                  document_start,
                  lse,
                  delta,
                  mma_wide(shape.head_dim, dout, q, k, v),
                  Dropped<float>(dropout)};
  const auto launch = [&]<int D, bool drops>() {
    constexpr size_t kBytes = Memory<D>::bytes;
    const auto tiles = static_cast<unsigned>((shape.tokens + kMmaLength - 1) / kMmaLength);
    if (dq.rows.data) {
      allow_shared(query_gradient<D, drops>, kBytes);
      const dim3 grid(tiles, static_cast<unsigned>(shape.batch * shape.heads));
      query_gradient<D, drops><<<grid, kMmaThreads, kBytes, native(stream)>>>(a, dq);
    }
    if (dk.rows.data || dv.rows.data) {
      allow_shared(key_gradients<D, drops>, kBytes);
      const dim3 grid(tiles, static_cast<unsigned>(shape.batch * shape.kv_heads));
      key_gradients<D, drops><<<grid, kMmaThreads, kBytes, native(stream)>>>(a, dk, dv);
    }
  };
  dispatch_head_dim(shape.head_dim, [&]<int D>() {
    if (dropout) return launch.template operator()<D, true>();
    launch.template operator()<D, false>();
  });
}

}  // namespace lethe::kernels::cuda
