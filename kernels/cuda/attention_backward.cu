// Attention's gradients in three launches: delta_i = do_i . o_i into the workspace; dq with one block for a
// tile of queries; dk and dv with one block for a tile of keys, which goes through the query heads of its
// group in order; for bf16 these two are in attention_bf16_backward.cu. The probabilities are computed twice,
// and in exchange nothing is added by two blocks: the bits never vary.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_bf16.cuh"

namespace lethe::kernels::cuda {
namespace {

template <class T>
struct Problem {
  AttentionShape shape;
  compute_t<T> scale;
  Rows<const T> dout, q, k, v;
  const int32_t* document_start;
  const compute_t<T>* lse;
  const compute_t<T>* delta;
  Dropped<compute_t<T>> dropped;
};

// One warp a token and head.
template <class T>
__global__ void delta_of(AttentionShape shape, Rows<const T> dout, Rows<const T> out, compute_t<T>* delta) {
  const int64_t warp = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (warp >= shape.batch * shape.tokens * shape.heads) return;
  const int64_t row = warp / shape.heads, h = warp % shape.heads;
  const T *a = row_of(dout, row) + h * shape.head_dim, *b = row_of(out, row) + h * shape.head_dim;
  compute_t<T> sum = 0;
  for (int64_t c = lane; c < shape.head_dim; c += 32) sum += widen(a[c]) * widen(b[c]);
#pragma unroll
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  const int64_t batch = row / shape.tokens, token = row % shape.tokens;
  if (lane == 0) delta[(batch * shape.heads + h) * shape.tokens + token] = sum;
}

// Four tiles, a tile of scores, and of each query of the tile its first key, log-sum-exp and delta.
template <int D, class T>
struct BackwardMemory {
  using C = compute_t<T>;
  using L = Tiles<C, D>;
  C *q, *dout, *k, *v, *p, *lse, *delta;
  int* first;
  __device__ BackwardMemory() {
    q = reinterpret_cast<C*>(attention_memory);
    dout = q + L::elements;
    k = dout + L::elements;
    v = k + L::elements;
    p = v + L::elements;
    lse = p + L::score_elements;
    delta = lse + L::length;
    first = reinterpret_cast<int*>(delta + L::length);
  }
  static constexpr size_t bytes =
      (4 * L::elements + L::score_elements + 2 * L::length) * sizeof(C) + L::length * sizeof(int);

  // Queries that do not exist see nothing.
  __device__ void load_queries(const Problem<T>& a, int64_t row, int64_t head, int begin, int queries) const {
    const int i = static_cast<int>(threadIdx.x);
    if (i >= L::length) return;
    const int64_t at = head * a.shape.tokens + begin + i;
    first[i] = i < queries ? first_key(a.shape, a.document_start + row, begin + i) : INT32_MAX;
    lse[i] = i < queries ? a.lse[at] : C(0);
    delta[i] = i < queries ? a.delta[at] : C(0);
  }
};

template <int D, bool drops, class T>
__global__ void __launch_bounds__(kAttentionThreads) query_gradient(Problem<T> a, AttentionGradient<T> dq) {
  using C = compute_t<T>;
  using L = Tiles<C, D>;
  constexpr int R = L::each;
  const BackwardMemory<D, T> memory;
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  const int tokens = static_cast<int>(a.shape.tokens), d = static_cast<int>(a.shape.head_dim);
  const int64_t b = blockIdx.y / a.shape.heads, h = blockIdx.y % a.shape.heads;
  const int begin = static_cast<int>(gridDim.x - 1 - blockIdx.x) * L::length;
  const int queries = min(L::length, tokens - begin), end = begin + queries;
  const int64_t row = b * tokens, column = h * d, kv_column = h / (a.shape.heads / a.shape.kv_heads) * d;

  memory.load_queries(a, row, blockIdx.y, begin, queries);
  load_tile<D>(a.q, row + begin, queries, column, d, memory.q);
  load_tile<D>(a.dout, row + begin, queries, column, d, memory.dout);
  __syncthreads();
  int start = end;
  for (int i = 0; i < queries; ++i) start = min(start, memory.first[i]);
  AttentionMask mask;
  if constexpr (drops) mask = a.dropped.mask(a.shape, b, h);
  C o[R][D / kSide] = {};
  for (int k0 = start; k0 < end; k0 += L::length) {
    const int keys = min(L::length, end - k0);
    __syncthreads();
    load_tile<D>(a.k, row + k0, keys, kv_column, d, memory.k);
    load_tile<D>(a.v, row + k0, keys, kv_column, d, memory.v);
    __syncthreads();
    C s[R][R], dp[R][R];
    products_of_rows<D>(memory.q, memory.k, d, s);
    products_of_rows<D>(memory.dout, memory.v, d, dp);
#pragma unroll
    for (int i = 0; i < R; ++i) {
      const int r = ty + kSide * i;
#pragma unroll
      for (int j = 0; j < R; ++j) {
        const int key = k0 + tx + kSide * j;
        const bool visible = key >= memory.first[r] && key <= begin + r && key < end;
        const C p = visible ? exp(s[i][j] * a.scale - memory.lse[r]) : C(0);
        if constexpr (drops) dp[i][j] = keeps(mask, begin + r, key) ? dp[i][j] * a.dropped.scale : C(0);
        memory.p[r * L::score_pitch + tx + kSide * j] = p * (dp[i][j] - memory.delta[r]);
      }
    }
    __syncthreads();
    add_weighted_rows<D>(memory.p, memory.k, o);
  }
  store_tile<D, T>(o, dq.rows, row + begin, queries, column, d, dq.write, [&](int) { return a.scale; });
}

template <int D, bool drops, class T>
__global__ void __launch_bounds__(kAttentionThreads)
    key_gradients(Problem<T> a, AttentionGradient<T> dk, AttentionGradient<T> dv) {
  using C = compute_t<T>;
  using L = Tiles<C, D>;
  constexpr int R = L::each;
  const BackwardMemory<D, T> memory;
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  const int tokens = static_cast<int>(a.shape.tokens), d = static_cast<int>(a.shape.head_dim);
  const int64_t b = blockIdx.y / a.shape.kv_heads, kv_head = blockIdx.y % a.shape.kv_heads;
  const int64_t group = a.shape.heads / a.shape.kv_heads;
  const int k0 = static_cast<int>(blockIdx.x) * L::length, keys = min(L::length, tokens - k0);
  const int64_t row = b * tokens, kv_column = kv_head * d;
  // With a window, queries further on see none of these keys.
  const int64_t reach = a.shape.window > 0 ? k0 + keys - 1 + a.shape.window : tokens;
  const int end = static_cast<int>(reach < tokens ? reach : tokens);

  load_tile<D>(a.k, row + k0, keys, kv_column, d, memory.k);
  load_tile<D>(a.v, row + k0, keys, kv_column, d, memory.v);
  C to_k[R][D / kSide] = {}, to_v[R][D / kSide] = {};
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    AttentionMask mask;
    if constexpr (drops) mask = a.dropped.mask(a.shape, b, h);
    for (int begin = k0; begin < end; begin += L::length) {
      const int queries = min(L::length, tokens - begin);
      __syncthreads();
      memory.load_queries(a, row, b * a.shape.heads + h, begin, queries);
      __syncthreads();
      const bool sees = threadIdx.x < L::length && memory.first[threadIdx.x] < k0 + keys;
      if (!__syncthreads_or(sees)) continue;
      load_tile<D>(a.q, row + begin, queries, h * d, d, memory.q);
      load_tile<D>(a.dout, row + begin, queries, h * d, d, memory.dout);
      __syncthreads();
      // Rows are keys, columns queries: p is stored ready to weigh rows of dout and q.
      C p[R][R], dp[R][R];
      products_of_rows<D>(memory.k, memory.q, d, p);
      products_of_rows<D>(memory.v, memory.dout, d, dp);
#pragma unroll
      for (int i = 0; i < R; ++i) {
        const int key = k0 + ty + kSide * i;
#pragma unroll
        for (int j = 0; j < R; ++j) {
          const int r = tx + kSide * j;
          const bool visible = key >= memory.first[r] && key <= begin + r && key < k0 + keys;
          p[i][j] = visible ? exp(p[i][j] * a.scale - memory.lse[r]) : C(0);
          C weight = p[i][j];
          if constexpr (drops) {
            const bool kept = keeps(mask, begin + r, key);
            weight = kept ? weight : C(0);
            dp[i][j] = kept ? dp[i][j] * a.dropped.scale : C(0);
          }
          memory.p[(ty + kSide * i) * L::score_pitch + r] = weight;
        }
      }
      __syncthreads();
      add_weighted_rows<D>(memory.p, memory.dout, to_v);
      __syncthreads();
#pragma unroll
      for (int i = 0; i < R; ++i) {
#pragma unroll
        for (int j = 0; j < R; ++j) {
          const int r = tx + kSide * j;
          memory.p[(ty + kSide * i) * L::score_pitch + r] = p[i][j] * (dp[i][j] - memory.delta[r]);
        }
      }
      __syncthreads();
      add_weighted_rows<D>(memory.p, memory.q, to_k);
    }
  }
  if (dk.rows.data)
    store_tile<D, T>(to_k, dk.rows, row + k0, keys, kv_column, d, dk.write, [&](int) { return a.scale; });
  if (dv.rows.data)
    store_tile<D, T>(to_v, dv.rows, row + k0, keys, kv_column, d, dv.write,
                     [&](int) { return drops ? a.dropped.scale : C(1); });
}

}  // namespace

template <class T>
void attention_backward(const AttentionShape& shape, double scale, Rows<const T> dout, Rows<const T> q,
                        Rows<const T> k, Rows<const T> v, const int32_t* document_start, Rows<const T> out,
                        const compute_t<T>* lse, AttentionGradient<T> dq, AttentionGradient<T> dk,
                        AttentionGradient<T> dv, void* workspace, Stream stream,
                        const AttentionDropout* dropout) {
  if (shape.batch == 0 || shape.tokens == 0) return;
  if (dropout && !dropout->drops()) dropout = nullptr;
  auto* const delta = static_cast<compute_t<T>*>(workspace);
  const int64_t warps = shape.batch * shape.tokens * shape.heads;
  delta_of<T><<<static_cast<unsigned>((warps + 7) / 8), 256, 0, native(stream)>>>(shape, dout, out, delta);
  if constexpr (std::is_same_v<T, bf16>) {
    return attention_backward_bf16(shape, scale, dout, q, k, v, document_start, lse, delta, dq, dk, dv,
                                   stream, dropout);
  } else {
    const Problem<T> a{shape, static_cast<compute_t<T>>(scale), dout, q, k, v, document_start, lse,
                       delta, Dropped<compute_t<T>>(dropout)};
    const auto launch = [&]<int D, bool drops>() {
      constexpr int kLength = Tiles<compute_t<T>, D>::length;
      constexpr size_t kBytes = BackwardMemory<D, T>::bytes;
      const auto tiles = static_cast<unsigned>((shape.tokens + kLength - 1) / kLength);
      if (dq.rows.data) {
        allow_shared(query_gradient<D, drops, T>, kBytes);
        const dim3 grid(tiles, static_cast<unsigned>(shape.batch * shape.heads));
        query_gradient<D, drops, T><<<grid, kAttentionThreads, kBytes, native(stream)>>>(a, dq);
      }
      if (dk.rows.data || dv.rows.data) {
        allow_shared(key_gradients<D, drops, T>, kBytes);
        const dim3 grid(tiles, static_cast<unsigned>(shape.batch * shape.kv_heads));
        key_gradients<D, drops, T><<<grid, kAttentionThreads, kBytes, native(stream)>>>(a, dk, dv);
      }
    };
    dispatch_head_dim(shape.head_dim, [&]<int D>() {
      if (dropout) return launch.template operator()<D, true>();
      launch.template operator()<D, false>();
    });
  }
}

#define LETHE_ATTENTION_BACKWARD(T)                                                                    \
  template void attention_backward<T>(const AttentionShape&, double, Rows<const T>, Rows<const T>,     \
                                      Rows<const T>, Rows<const T>, const int32_t*, Rows<const T>,     \
                                      const compute_t<T>*, AttentionGradient<T>, AttentionGradient<T>, \
                                      AttentionGradient<T>, void*, Stream, const AttentionDropout*);
LETHE_ATTENTION_BACKWARD(double)
LETHE_ATTENTION_BACKWARD(float)
LETHE_ATTENTION_BACKWARD(bf16)
#undef LETHE_ATTENTION_BACKWARD

}  // namespace lethe::kernels::cuda
