// A block has one token, up to kHeads query heads that share a key head, and one part of the keys. Eight
// threads hold a key, 16 elements each, so a warp works on four keys at a time and its four groups, like the
// block's four warps, on every sixteenth. Each group keeps a running softmax; they are joined in a fixed
// order, and the parts of a long slot by a second kernel.
#include <math_constants.h>

#include "kernels/attention.h"
#include "kernels/cached_attention.h"
#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {
namespace {

constexpr int kThreads = 128, kLanes = 8, kGroups = kThreads / kLanes;
constexpr int kElements = static_cast<int>(kMostHeadDim) / kLanes;  // of a thread

template <class T>
__global__ void scatter(Rows<const T> x, const int32_t* rows, Rows<T> cache) {
  const int64_t row = rows[blockIdx.x];
  if (row < 0) return;
  const T* const from = row_of(x, blockIdx.x);
  T* const to = row_of(cache, row);
  for (int64_t c = threadIdx.x; c < x.width; c += blockDim.x) to[c] = from[c];
}

template <class C>
struct Running {
  C most, total;
  C sum[kElements];

  __device__ void join(C other_most, C other_total, const C* other_sum) {
    const C now = other_most > most ? other_most : most;
    if (now == -static_cast<C>(CUDART_INF)) return;
    const C mine = exponential(most - now), theirs = exponential(other_most - now);
    most = now;
    total = total * mine + other_total * theirs;
#pragma unroll
    for (int e = 0; e < kElements; ++e) sum[e] = sum[e] * mine + other_sum[e] * theirs;
  }
};

// N: elements loaded at once. The thread's elements: pieces of N, kLanes * N apart.
template <int N, class T>
__device__ void load_row(const T* from, int lane, int D, compute_t<std::remove_const_t<T>>* to) {
#pragma unroll
  for (int c = 0; c < kElements / N; ++c) {
    const int d = (c * kLanes + lane) * N;
    Values<std::remove_const_t<T>, N> v{};
    if (d < D) v = load<N>(from + d);
#pragma unroll
    for (int i = 0; i < N; ++i) to[c * N + i] = v.at[i];
  }
}

template <class T>
struct Problem {
  CachedAttentionShape s;
  compute_t<T> scale;
  Rows<const T> q, keys, values;
  const int32_t* rows;
  Rows<T> out;
  compute_t<T>* parts;  // null: a slot is one part
};

template <class T, int N, int kHeads>
__global__ void __launch_bounds__(kThreads) attend(Problem<T> p) {
  using C = compute_t<T>;
  const auto D = static_cast<int>(p.s.head_dim), capacity = static_cast<int>(p.s.capacity);
  const int group_heads = static_cast<int>(p.s.heads / p.s.kv_heads),
            tiles = (group_heads + kHeads - 1) / kHeads;
  const int kv_head = static_cast<int>(blockIdx.y) / tiles;
  const int in_group = static_cast<int>(blockIdx.y) % tiles * kHeads;
  const int count = min(kHeads, group_heads - in_group), first_head = kv_head * group_heads + in_group;
  const int64_t token = blockIdx.x, row = p.rows[token];
  const int position = row < 0 ? -1 : static_cast<int>(row % capacity);
  const int lane = static_cast<int>(threadIdx.x) % kLanes, group = static_cast<int>(threadIdx.x) / kLanes;

  C query[kHeads][kElements];
  Running<C> run[kHeads];
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    run[h] = {-static_cast<C>(CUDART_INF), 0, {}};
    load_row<N>(row_of(p.q, token) + (first_head + min(h, count - 1)) * D, lane, D, query[h]);
  }
  const int part = static_cast<int>(kCachedPart);
  const int begin = max(static_cast<int>(blockIdx.z) * part,
                        p.s.window > 0 ? position - static_cast<int>(p.s.window) + 1 : 0);
  const int end = min((static_cast<int>(blockIdx.z) + 1) * part, position + 1);
  for (int j = begin + group; j - group < end; j += kGroups) {
    const bool there = j < end;  // the warp stays together for its sums
    const int64_t at = row - position + (there ? j : begin);
    C key[kElements], value[kElements];
    load_row<N>(row_of(p.keys, at) + kv_head * D, lane, D, key);
    load_row<N>(row_of(p.values, at) + kv_head * D, lane, D, value);
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      C score = 0;
#pragma unroll
      for (int e = 0; e < kElements; ++e) score += query[h][e] * key[e];
#pragma unroll
      for (int step = kLanes / 2; step > 0; step /= 2) score += __shfl_xor_sync(0xffffffffu, score, step);
      if (there) run[h].join(score * p.scale, 1, value);
    }
  }

  __shared__ C shared_most[kThreads / 32][kHeads], shared_total[kThreads / 32][kHeads];
  __shared__ C shared_sum[kThreads / 32][kHeads][kLanes][kElements];
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
#pragma unroll
    for (int step = kLanes; step < 32; step *= 2) {
      C other[kElements];
      const C most = __shfl_xor_sync(0xffffffffu, run[h].most, step);
      const C total = __shfl_xor_sync(0xffffffffu, run[h].total, step);
#pragma unroll
      for (int e = 0; e < kElements; ++e) other[e] = __shfl_xor_sync(0xffffffffu, run[h].sum[e], step);
      run[h].join(most, total, other);
    }
    if (threadIdx.x % 32 < kLanes) {
      const int warp = static_cast<int>(threadIdx.x) / 32;
      shared_most[warp][h] = run[h].most;
      shared_total[warp][h] = run[h].total;
#pragma unroll
      for (int e = 0; e < kElements; ++e) shared_sum[warp][h][lane][e] = run[h].sum[e];
    }
  }
  __syncthreads();
  if (threadIdx.x >= kLanes) return;
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    if (h >= count) break;
    for (int w = 1; w < kThreads / 32; ++w)
      run[h].join(shared_most[w][h], shared_total[w][h], shared_sum[w][h][lane]);
    const int head = first_head + h;
    C* to = nullptr;
    if (p.parts) {
      to = p.parts + ((token * p.s.heads + head) * gridDim.z + blockIdx.z) * (D + 2);
      if (lane == 0) to[0] = run[h].most, to[1] = run[h].total;
      to += 2;
    }
    const C share = run[h].total > 0 ? 1 / run[h].total : C(0);
#pragma unroll
    for (int c = 0; c < kElements / N; ++c) {
      const int d = (c * kLanes + lane) * N;
      if (d >= D) break;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        if (to) {
          to[d + i] = run[h].sum[c * N + i];
        } else {
          row_of(p.out, token)[head * D + d + i] = narrow<T>(run[h].sum[c * N + i] * share);
        }
      }
    }
  }
}

template <class T>
__global__ void join_parts(Problem<T> p, int parts) {
  using C = compute_t<T>;
  const auto D = static_cast<int>(p.s.head_dim);
  const int64_t token = blockIdx.x, head = blockIdx.y;
  const C* const from = p.parts + (token * p.s.heads + head) * parts * (D + 2);
  C most = -static_cast<C>(CUDART_INF), total = 0;
  for (int i = 0; i < parts; ++i) most = max(most, from[i * (D + 2)]);
  for (int d = static_cast<int>(threadIdx.x); d < D; d += static_cast<int>(blockDim.x)) {
    C sum = 0;
    total = 0;
    for (int i = 0; i < parts; ++i) {
      const C* const part = from + i * (D + 2);
      if (part[0] == -static_cast<C>(CUDART_INF)) continue;
      const C share = exponential(part[0] - most);
      total += share * part[1];
      sum += share * part[2 + d];
    }
    row_of(p.out, token)[head * D + d] = narrow<T>(total > 0 ? sum / total : C(0));
  }
}

template <int N, class T>
void launch(const Problem<T>& p, Stream stream) {
  const int64_t group = p.s.heads / p.s.kv_heads;
  const auto parts = static_cast<unsigned>((p.s.capacity + kCachedPart - 1) / kCachedPart);
  const auto grid = [&](int64_t heads) {
    return dim3(static_cast<unsigned>(p.s.tokens),
                static_cast<unsigned>(p.s.kv_heads * ((group + heads - 1) / heads)), parts);
  };
  if (group == 1) {
    attend<T, N, 1><<<grid(1), kThreads, 0, native(stream)>>>(p);
  } else if (group == 2) {
    attend<T, N, 2><<<grid(2), kThreads, 0, native(stream)>>>(p);
  } else {
    attend<T, N, 3><<<grid(3), kThreads, 0, native(stream)>>>(p);
  }
  if (parts < 2) return;
  const dim3 heads(static_cast<unsigned>(p.s.tokens), static_cast<unsigned>(p.s.heads));
  join_parts<T><<<heads, threads_for(p.s.head_dim, 128), 0, native(stream)>>>(p, static_cast<int>(parts));
}

}  // namespace

template <class T>
void keep_rows(Rows<const T> x, const int32_t* rows, Rows<T> cache, Stream stream) {
  if (x.rows == 0) return;
  scatter<T><<<static_cast<unsigned>(x.rows), threads_for(x.width), 0, native(stream)>>>(x, rows, cache);
}

template <class T>
void cached_attention(const CachedAttentionShape& shape, double scale, Rows<const T> q, Rows<const T> keys,
                      Rows<const T> values, const int32_t* rows, Rows<T> out, void* workspace,
                      Stream stream) {
  if (shape.tokens == 0) return;
  using C = compute_t<T>;
  C* const parts = shape.capacity > kCachedPart ? static_cast<C*>(workspace) : nullptr;
  const Problem<T> p{shape, static_cast<C>(scale), q, keys, values, rows, out, parts};
  constexpr int N = kVector<T>;
  if (shape.head_dim % N == 0 && aligned(q) && aligned(keys) && aligned(values)) return launch<N>(p, stream);
  launch<1>(p, stream);
}

#define LETHE_CACHED_ATTENTION(T)                                                                      \
  template void keep_rows<T>(Rows<const T>, const int32_t*, Rows<T>, Stream);                          \
  template void cached_attention<T>(const CachedAttentionShape&, double, Rows<const T>, Rows<const T>, \
                                    Rows<const T>, const int32_t*, Rows<T>, void*, Stream);
LETHE_CACHED_ATTENTION(double)
LETHE_CACHED_ATTENTION(float)
LETHE_CACHED_ATTENTION(bf16)
#undef LETHE_CACHED_ATTENTION

}  // namespace lethe::kernels::cuda
