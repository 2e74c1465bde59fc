// Attention with a running softmax over tiles of keys (FlashAttention's plan) on the ordinary arithmetic
// units, for double and float; bf16 goes to the tensor cores in attention_bf16.cu. A block has one tile of
// queries of one head; the output stays in registers until all keys that any of its queries sees have passed.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_bf16.cuh"

namespace lethe::kernels::cuda {
namespace {

template <int D, class T>
struct ForwardMemory {
  using C = compute_t<T>;
  using L = Tiles<C, D>;
  C *q, *k, *v, *p;
  int* first;
  __device__ ForwardMemory() {
    q = reinterpret_cast<C*>(attention_memory);
    k = q + L::elements;
    v = k + L::elements;
    p = v + L::elements;
    first = reinterpret_cast<int*>(p + L::score_elements);
  }
  static constexpr size_t bytes = (3 * L::elements + L::score_elements) * sizeof(C) + L::length * sizeof(int);
};

// The largest and the sum of a row's scores, over the 16 threads that share it.
template <class C>
__device__ C largest_of_row(C v) {
#pragma unroll
  for (int step = kSide / 2; step > 0; step /= 2) {
    const C other = __shfl_xor_sync(0xffffffffu, v, step);
    v = v > other ? v : other;
  }
  return v;
}
template <class C>
__device__ C sum_of_row(C v) {
#pragma unroll
  for (int step = kSide / 2; step > 0; step /= 2) v += __shfl_xor_sync(0xffffffffu, v, step);
  return v;
}

template <int D, Beside beside, class T>
__global__ void __launch_bounds__(kAttentionThreads)
    forward(AttentionShape shape, compute_t<T> scale, Rows<const T> q, Rows<const T> k, Rows<const T> v,
            const int32_t* document_start, const int32_t* hidden, Rows<T> out, compute_t<T>* lse,
            Dropped<compute_t<T>> dropped) {
  constexpr bool branched = beside == Beside::branches;
  using C = compute_t<T>;
  using L = Tiles<C, D>;
  constexpr int R = L::each;
  const ForwardMemory<D, T> memory;
  const int tid = static_cast<int>(threadIdx.x), tx = tid % kSide, ty = tid / kSide;
  const int tokens = static_cast<int>(shape.tokens), d = static_cast<int>(shape.head_dim);
  const int b = static_cast<int>(blockIdx.y / shape.heads), h = static_cast<int>(blockIdx.y % shape.heads);
  // Later queries see more keys: the longest blocks start first.
  const int begin = static_cast<int>(gridDim.x - 1 - blockIdx.x) * L::length;
  const int queries = min(L::length, tokens - begin), end = begin + queries;
  const int64_t row = static_cast<int64_t>(b) * tokens, column = static_cast<int64_t>(h) * d;
  const int64_t kv_column = h / (shape.heads / shape.kv_heads) * d;

  if (tid < L::length)
    memory.first[tid] = tid < queries ? first_key(shape, document_start + row, begin + tid) : end;
  __shared__ Hidden<L::length> gaps;
  if constexpr (branched) gaps.load(shape, hidden, row + begin, queries);
  load_tile<D>(q, row + begin, queries, column, d, memory.q);
  __syncthreads();
  int start = end;
  for (int i = 0; i < queries; ++i) start = min(start, memory.first[i]);

  AttentionMask mask;
  if constexpr (beside == Beside::dropout) mask = dropped.mask(shape, b, h);
  C o[R][D / kSide] = {}, most[R], sum[R];
#pragma unroll
  for (int i = 0; i < R; ++i) {
    most[i] = -static_cast<C>(CUDART_INF);
    sum[i] = 0;
  }
  for (int k0 = start; k0 < end; k0 += L::length) {
    if constexpr (branched) {
      if (gaps.hide_from_all(k0, k0 + L::length, queries)) continue;
    }
    const int keys = min(L::length, end - k0);
    __syncthreads();
    load_tile<D>(k, row + k0, keys, kv_column, d, memory.k);
    load_tile<D>(v, row + k0, keys, kv_column, d, memory.v);
    __syncthreads();
    C s[R][R];
    products_of_rows<D>(memory.q, memory.k, d, s);
#pragma unroll
    for (int i = 0; i < R; ++i) {
      const int r = ty + kSide * i;
      C top = most[i];
#pragma unroll
      for (int j = 0; j < R; ++j) {
        const int key = k0 + tx + kSide * j;
        bool visible = r < queries && key >= memory.first[r] && key <= begin + r;
        if constexpr (branched) visible = visible && !gaps.hide(r, key);
        s[i][j] = visible ? s[i][j] * scale : -static_cast<C>(CUDART_INF);
        top = s[i][j] > top ? s[i][j] : top;
      }
      top = largest_of_row(top);
      const bool any = top > -static_cast<C>(CUDART_INF);
      const C shrink = any ? exp(most[i] - top) : C(1);
      C added = 0;
#pragma unroll
      for (int j = 0; j < R; ++j) {
        const C p = any ? exp(s[i][j] - top) : C(0);
        added += p;
        C weight = p;
        if constexpr (beside == Beside::dropout)
          weight = keeps(mask, begin + r, k0 + tx + kSide * j) ? p : C(0);
        memory.p[r * L::score_pitch + tx + kSide * j] = weight;
      }
      sum[i] = sum[i] * shrink + sum_of_row(added);
      most[i] = top;
#pragma unroll
      for (int c = 0; c < D / kSide; ++c) o[i][c] *= shrink;
    }
    __syncthreads();
    add_weighted_rows<D>(memory.p, memory.v, o);
  }
  store_tile<D, T>(o, out, row + begin, queries, column, d, Write::overwrite,
                   [&](int i) { return sum[i] == 0 ? C(0) : dropped.scale / sum[i]; });
  if (tx != 0) return;
#pragma unroll
  for (int i = 0; i < R; ++i) {
    const int r = ty + kSide * i;
    if (r < queries) lse[static_cast<int64_t>(blockIdx.y) * tokens + begin + r] = most[i] + log(sum[i]);
  }
}

template <class T>
void launch_forward(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k,
                    Rows<const T> v, const int32_t* document_start, const int32_t* hidden, Rows<T> out,
                    compute_t<T>* lse, Stream stream, const AttentionDropout* dropout) {
  if (shape.batch == 0 || shape.tokens == 0) return;
  if constexpr (std::is_same_v<T, bf16>) {
    return attention_bf16(shape, scale, q, k, v, document_start, hidden, out, lse, stream, dropout);
  } else {
    const Dropped<compute_t<T>> dropped(dropout);
    const auto launch = [&]<int D, Beside beside>() {
      constexpr int kLength = Tiles<compute_t<T>, D>::length;
      constexpr size_t kBytes = ForwardMemory<D, T>::bytes;
      const dim3 grid(static_cast<unsigned>((shape.tokens + kLength - 1) / kLength),
                      static_cast<unsigned>(shape.batch * shape.heads));
      allow_shared(forward<D, beside, T>, kBytes);
      forward<D, beside, T><<<grid, kAttentionThreads, kBytes, native(stream)>>>(
          shape, static_cast<compute_t<T>>(scale), q, k, v, document_start, hidden, out, lse, dropped);
    };
    dispatch_head_dim(shape.head_dim, [&]<int D>() {
      if (hidden) return launch.template operator()<D, Beside::branches>();
      if (dropout) return launch.template operator()<D, Beside::dropout>();
      launch.template operator()<D, Beside::nothing>();
    });
  }
}

}  // namespace

template <class T>
void branched_attention(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k,
                        Rows<const T> v, const int32_t* document_start, const int32_t* hidden, Rows<T> out,
                        compute_t<T>* lse, Stream stream) {
  launch_forward<T>(shape, scale, q, k, v, document_start, hidden, out, lse, stream, nullptr);
}

template <class T>
void attention(const AttentionShape& shape, double scale, Rows<const T> q, Rows<const T> k, Rows<const T> v,
               const int32_t* document_start, Rows<T> out, compute_t<T>* lse, Stream stream,
               const AttentionDropout* dropout) {
  if (dropout && !dropout->drops()) dropout = nullptr;
  launch_forward<T>(shape, scale, q, k, v, document_start, nullptr, out, lse, stream, dropout);
}

#define LETHE_ATTENTION(T)                                                                                   \
  template void attention<T>(const AttentionShape&, double, Rows<const T>, Rows<const T>, Rows<const T>,     \
                             const int32_t*, Rows<T>, compute_t<T>*, Stream, const AttentionDropout*);       \
  template void branched_attention<T>(const AttentionShape&, double, Rows<const T>, Rows<const T>,           \
                                      Rows<const T>, const int32_t*, const int32_t*, Rows<T>, compute_t<T>*, \
                                      Stream);
LETHE_ATTENTION(double)
LETHE_ATTENTION(float)
LETHE_ATTENTION(bf16)
#undef LETHE_ATTENTION

}  // namespace lethe::kernels::cuda
