// Each head of a row on its own: a warp a head, its elements in the warp's registers. Where the gain's
// gradient is wanted a warp goes over many heads and keeps its lanes' columns' sums; a block's warps add
// theirs in order, then a second kernel adds the blocks', so the bits never vary.
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/rmsnorm.cuh"
#include "kernels/head_norm.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kWarps = 8;  // of a block

// A warp's share of the (row, head) pairs; V packs of N elements a lane hold a head of up to 32 V N.
template <class T, int N, int V, class Body>
__device__ void for_heads(int64_t rows, int64_t heads, const Body& body) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.y;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t pair = first; pair < rows * heads; pair += step) body(pair / heads, pair % heads);
}

template <class T, int N, int V>
__global__ void __launch_bounds__(32 * kWarps)
    forward(Rows<const T> x, const T* gain, int head_dim, compute_t<T> epsilon, Rows<T> y,
            compute_t<T>* inverse_rms) {
  using C = compute_t<T>;
  const int first = static_cast<int>(threadIdx.x) * N;
  constexpr int step = 32 * N;
  for_heads<T, N, V>(x.rows, x.width / head_dim, [&](int64_t row, int64_t head) {
    const T* in = row_of(x, row) + head * head_dim;
    T* out = row_of(y, row) + head * head_dim;
    Values<T, N> v[V];
    C squares = 0;
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const int c = first + k * step;
      if (c >= head_dim) continue;
      v[k] = load<N>(in + c);
#pragma unroll
      for (int i = 0; i < N; ++i) squares += v[k].at[i] * v[k].at[i];
    }
    const C mean = warp_sum(squares) / static_cast<C>(head_dim);
    const C r = C(1) / sqrt(mean + epsilon);
    if (threadIdx.x == 0) inverse_rms[head * x.rows + row] = r;
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const int c = first + k * step;
      if (c >= head_dim) continue;
      const auto g = load<N>(gain + c);
      Values<T, N> scaled;
#pragma unroll
      for (int i = 0; i < N; ++i) scaled.at[i] = g.at[i] * (v[k].at[i] * r);
      store(out + c, scaled, Write::overwrite);
    }
  });
}

template <class T, int N, int V>
__global__ void __launch_bounds__(32 * kWarps)
    backward(Rows<const T> dy, Rows<const T> x, const T* gain, int head_dim, const compute_t<T>* inverse_rms,
             Rows<T> dx, Write write, compute_t<T>* partial) {
  using C = compute_t<T>;
  __shared__ C total[kMostNormedHead];
  const int first = static_cast<int>(threadIdx.x) * N;
  constexpr int step = 32 * N;
  Values<T, N> sum[V];
#pragma unroll
  for (int k = 0; k < V; ++k) sum[k] = {};
  for_heads<T, N, V>(x.rows, x.width / head_dim, [&](int64_t row, int64_t head) {
    const T *in = row_of(x, row) + head * head_dim, *from = row_of(dy, row) + head * head_dim;
    const C r = inverse_rms[head * x.rows + row];
    Values<T, N> v[V], d[V];
    C dot = 0;
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const int c = first + k * step;
      if (c >= head_dim) continue;
      v[k] = load<N>(in + c);
      d[k] = load<N>(from + c);
      const auto g = load<N>(gain + c);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        sum[k].at[i] += d[k].at[i] * v[k].at[i] * r;
        d[k].at[i] *= g.at[i];
        dot += d[k].at[i] * v[k].at[i];
      }
    }
    if (!dx.data) return;
    const C along_x = r * r * warp_sum(dot) / static_cast<C>(head_dim);
    T* out = row_of(dx, row) + head * head_dim;
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const int c = first + k * step;
      if (c >= head_dim) continue;
      Values<T, N> value;
#pragma unroll
      for (int i = 0; i < N; ++i) value.at[i] = r * (d[k].at[i] - v[k].at[i] * along_x);
      store(out + c, value, write);
    }
  });
  if (!partial) return;
  for (int turn = 0; turn < kWarps; ++turn) {
    if (static_cast<int>(threadIdx.y) == turn) {
#pragma unroll
      for (int k = 0; k < V; ++k) {
        const int c = first + k * step;
        if (c >= head_dim) continue;
#pragma unroll
        for (int i = 0; i < N; ++i) {
          const C before = turn == 0 ? C(0) : total[c + i];
          total[c + i] = before + sum[k].at[i];
        }
      }
    }
    __syncthreads();
  }
  const int thread = static_cast<int>(threadIdx.y * 32 + threadIdx.x);
  for (int c = thread; c < head_dim; c += 32 * kWarps)
    partial[blockIdx.x * static_cast<int64_t>(head_dim) + c] = total[c];
}

// Whether every head starts on a boundary of N elements.
template <int N, class T>
bool on_boundaries(const Rows<T>& x) {
  return reinterpret_cast<uintptr_t>(x.data) % (N * sizeof(T)) == 0 && x.pitch % N == 0;
}

// Calls body.operator()<N, V>() with N elements a load and the packs a lane that hold a head.
template <class T, class Body>
void for_head_packs(int64_t head_dim, bool aligned, const Body& body) {
  constexpr int N = sizeof(T) == 8 ? 2 : 4;
  if (!aligned || head_dim % N != 0) return body.template operator()<1, kMostNormedHead / 32>();
  if (head_dim <= 32 * N) return body.template operator()<N, 1>();
  body.template operator()<N, kMostNormedHead / (32 * N)>();
}

template <class T, class... R>
bool heads_aligned(const T* gain, const R&... rows) {
  constexpr int N = sizeof(T) == 8 ? 2 : 4;
  return reinterpret_cast<uintptr_t>(gain) % (N * sizeof(T)) == 0 && (on_boundaries<N>(rows) && ...);
}

}  // namespace

template <class T>
void head_norm(Rows<const T> x, const T* gain, int64_t head_dim, double epsilon, Rows<T> y,
               compute_t<T>* inverse_rms, Stream stream) {
  const int64_t pairs = x.rows * (x.width / head_dim);
  if (pairs == 0) return;
  const auto blocks = static_cast<unsigned>(std::min<int64_t>((pairs + kWarps - 1) / kWarps, 1 << 20));
  for_head_packs<T>(head_dim, heads_aligned(gain, x, y), [&]<int N, int V>() {
    forward<T, N, V><<<blocks, dim3(32, kWarps), 0, native(stream)>>>(
        x, gain, static_cast<int>(head_dim), static_cast<compute_t<T>>(epsilon), y, inverse_rms);
  });
}

template <class T, class G>
void head_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, int64_t head_dim,
                        const compute_t<T>* inverse_rms, Rows<T> dx, Write write_dx, G* dgain,
                        Write write_dgain, void* workspace, Stream stream) {
  using C = compute_t<T>;
  const int64_t heads = x.width / head_dim, pairs = x.rows * heads;
  auto* const partial = dgain ? static_cast<C*>(workspace) : nullptr;
  const int64_t parts = head_norm_parts(x.rows, heads);
  const int64_t blocks = dgain ? parts : std::clamp<int64_t>((pairs + kWarps - 1) / kWarps, 1, 1 << 20);
  const bool aligned = heads_aligned(gain, dy, x) && (!dx.data || heads_aligned(gain, dx));
  for_head_packs<T>(head_dim, aligned, [&]<int N, int V>() {
    backward<T, N, V><<<static_cast<unsigned>(blocks), dim3(32, kWarps), 0, native(stream)>>>(
        dy, x, gain, static_cast<int>(head_dim), inverse_rms, dx, write_dx, partial);
  });
  if (!dgain) return;
  add_parts<C, G><<<column_blocks(head_dim), dim3(kColumns, kDown), 0, native(stream)>>>(
      partial, parts, head_dim, dgain, write_dgain);
}

#define LETHE_HEAD_NORM(T) \
  template void head_norm<T>(Rows<const T>, const T*, int64_t, double, Rows<T>, compute_t<T>*, Stream);
LETHE_HEAD_NORM(double)
LETHE_HEAD_NORM(float)
LETHE_HEAD_NORM(bf16)
#undef LETHE_HEAD_NORM

#define LETHE_HEAD_NORM_BACKWARD(T, G)                                                    \
  template void head_norm_backward<T, G>(Rows<const T>, Rows<const T>, const T*, int64_t, \
                                         const compute_t<T>*, Rows<T>, Write, G*, Write, void*, Stream);
LETHE_HEAD_NORM_BACKWARD(double, double)
LETHE_HEAD_NORM_BACKWARD(float, float)
LETHE_HEAD_NORM_BACKWARD(float, bf16)
LETHE_HEAD_NORM_BACKWARD(bf16, float)
LETHE_HEAD_NORM_BACKWARD(bf16, bf16)
#undef LETHE_HEAD_NORM_BACKWARD

}  // namespace lethe::kernels::cuda
