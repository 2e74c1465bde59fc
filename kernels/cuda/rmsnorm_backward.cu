// Gradients of RMS normalisation in one pass. A block, or each warp of one where rows are narrow, goes over
// rows, every so many from its own on; a row of dy, x and what dx is added to is read once, into registers.
// Where the gain's gradient is wanted a thread also keeps its columns' sums over its rows. A block's warps
// add theirs in order, then a second kernel adds the blocks', so the bits never vary.
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/rmsnorm.cuh"
#include "kernels/rmsnorm.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kRowsAtOnce = 8;  // of a block whose warps take a row each

// Blocks that rmsnorm_gain_parts counts on to be on a multiprocessor at once.
template <class T>
constexpr int resident(int packs, bool warp) {
  if (warp) return 2;
  if (!std::is_same_v<T, bf16>) return 1;
  return packs == 1 ? 4 : packs == 2 ? 3 : 2;
}

// Adds up what the block's warps hold, in order; the first of them gets the sums.
template <int V, class C, int N>
__device__ void add_warps(Values<C, N> (&sum)[V]) {
  __shared__ C total[V * N][32];
  for (int turn = kRowsAtOnce - 1; turn >= 0; --turn) {
    if (static_cast<int>(threadIdx.y) == turn) {
#pragma unroll
      for (int k = 0; k < V * N; ++k) {
        C& value = sum[k / N].at[k % N];
        if (turn < kRowsAtOnce - 1) value += total[k][threadIdx.x];
        total[k][threadIdx.x] = value;
      }
    }
    __syncthreads();
  }
}

template <class T, int V, bool kWarp, bool kGain>
__global__ void __launch_bounds__(kWarp ? 32 * kRowsAtOnce : kRowThreads<T>, resident<T>(V, kWarp))
    rows_in_registers(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                      Rows<T> dx, Write write, compute_t<T>* partial) {
  using C = compute_t<T>;
  constexpr int N = kVector<T>;
  __shared__ C shared[2][32];
  const int width = static_cast<int>(x.width), step = (kWarp ? 32 : static_cast<int>(blockDim.x)) * N;
  const int first = static_cast<int>(threadIdx.x) * N;
  const bool joins = dx.data && write == Write::accumulate;
  Pack<T, N> g[V];
  Values<C, N> sum[V];
#pragma unroll
  for (int k = 0; k < V; ++k) {
    sum[k] = {};
    if (first + k * step < width) g[k] = load_pack<N>(gain + first + k * step);
  }
  int turn = 0;
  const int64_t own = kWarp ? blockIdx.x * int64_t{kRowsAtOnce} + threadIdx.y : int64_t{blockIdx.x};
  const int64_t stride = gridDim.x * int64_t{kWarp ? kRowsAtOnce : 1};
  for (int64_t row = own; row < x.rows; row += stride, turn ^= 1) {
    Pack<T, N> in[V], d[V], before[V];
    const C r = inverse_rms[row];
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const int c = first + k * step;
      if (c >= width) continue;
      in[k] = load_pack<N>(row_of(x, row) + c);
      d[k] = load_pack<N>(row_of(dy, row) + c);
      if (joins) before[k] = load_pack<N>(row_of(dx, row) + c);
    }
    C dot = 0;
#pragma unroll
    for (int k = 0; k < V; ++k) {
      if (first + k * step >= width) continue;
      const auto v = widen(in[k]), dv = widen(d[k]), by = widen(g[k]);
#pragma unroll
      for (int i = 0; i < N; ++i) dot += by.at[i] * dv.at[i] * v.at[i];
    }
    dot = kWarp ? warp_sum(dot) : row_sum(dot, shared[turn]);
    const C along_x = r * r * dot / static_cast<C>(width);
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const int c = first + k * step;
      if (c >= width) continue;
      const auto v = widen(in[k]), dv = widen(d[k]), by = widen(g[k]);
      Values<T, N> out;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        out.at[i] = r * (by.at[i] * dv.at[i] - v.at[i] * along_x);
        if constexpr (kGain) sum[k].at[i] += dv.at[i] * v.at[i] * r;
      }
      if (joins) {
        const auto held = widen(before[k]);
#pragma unroll
        for (int i = 0; i < N; ++i) out.at[i] = held.at[i] + out.at[i];
      }
      if (dx.data) store_pack(row_of(dx, row) + c, narrow(out));
    }
  }
  if constexpr (kGain) {
    if constexpr (kWarp) add_warps<V>(sum);
    if (threadIdx.y > 0) return;
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const int c = first + k * step;
      if (c < width) store_pack(partial + blockIdx.x * static_cast<int64_t>(width) + c, narrow(sum[k]));
    }
  }
}

// Any width and any alignment: a row is read twice.
template <class T>
__global__ void row_twice(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                          Rows<T> dx, Write write) {
  using C = compute_t<T>;
  __shared__ C shared[32];
  const int64_t row = blockIdx.x;
  const T *in = row_of(x, row), *d = row_of(dy, row);
  T* out = row_of(dx, row);
  C dot = 0;
  for (int64_t c = threadIdx.x; c < x.width; c += blockDim.x)
    dot += widen(gain[c]) * widen(d[c]) * widen(in[c]);
  dot = row_sum(dot, shared);
  const C r = inverse_rms[row], along_x = r * r * dot / static_cast<C>(x.width);
  for (int64_t c = threadIdx.x; c < x.width; c += blockDim.x) {
    Values<T, 1> value{r * (widen(gain[c]) * widen(d[c]) - widen(in[c]) * along_x)};
    store(out + c, value, write);
  }
}

// partial[part, c] = sum over the part's rows of dy x r.
template <class T>
__global__ void gain_parts(Rows<const T> dy, Rows<const T> x, const compute_t<T>* inverse_rms,
                           int64_t rows_per_part, compute_t<T>* partial) {
  using C = compute_t<T>;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  const int64_t begin = blockIdx.y * rows_per_part, end = min(x.rows, begin + rows_per_part);
  C sum = 0;
  if (column < x.width) {
    for (int64_t i = begin + threadIdx.y; i < end; i += kDown)
      sum += widen(row_of(dy, i)[column]) * widen(row_of(x, i)[column]) * inverse_rms[i];
  }
  sum = column_sum(sum);
  if (threadIdx.y == 0 && column < x.width) partial[blockIdx.y * x.width + column] = sum;
}

}  // namespace

template <class T, class G>
void rmsnorm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                      Rows<T> dx, Write write_dx, G* dgain, Write write_dgain, void* workspace,
                      Stream stream) {
  using C = compute_t<T>;
  if (x.width == 0) return;
  auto* const partial = static_cast<C*>(workspace);
  const int64_t parts = rmsnorm_gain_parts<T>(x.rows, x.width);
  const unsigned across = column_blocks(x.width);
  const dim3 down(kColumns, kDown);
  if (x.rows > 0) {
    if (fits_row_packs(gain, x, dy) && (!dx.data || aligned(dx))) {
      for_row_packs<T>(x.width, [&]<int V, bool kWarp>(int threads) {
        const int64_t down = kWarp ? kRowsAtOnce : 1;
        const dim3 block(static_cast<unsigned>(threads), static_cast<unsigned>(down));
        if (dgain) {
          rows_in_registers<T, V, kWarp, true><<<static_cast<unsigned>(parts), block, 0, native(stream)>>>(
              dy, x, gain, inverse_rms, dx, write_dx, partial);
        } else {
          const auto blocks = static_cast<unsigned>((x.rows + down - 1) / down);
          rows_in_registers<T, V, kWarp, false>
              <<<blocks, block, 0, native(stream)>>>(dy, x, gain, inverse_rms, dx, write_dx, nullptr);
        }
      });
    } else {
      // The gain's first: dx may take dy's memory.
      if (dgain) {
        gain_parts<T><<<dim3(across, static_cast<unsigned>(parts)), down, 0, native(stream)>>>(
            dy, x, inverse_rms, (x.rows + parts - 1) / parts, partial);
      }
      if (dx.data) {
        row_twice<T><<<static_cast<unsigned>(x.rows), threads_for(x.width), 0, native(stream)>>>(
            dy, x, gain, inverse_rms, dx, write_dx);
      }
    }
  }
  if (dgain)
    add_parts<C, G><<<across, down, 0, native(stream)>>>(partial, parts, x.width, dgain, write_dgain);
}

#define LETHE_RMSNORM(T, G)                                                                                  \
  template void rmsnorm_backward<T, G>(Rows<const T>, Rows<const T>, const T*, const compute_t<T>*, Rows<T>, \
                                       Write, G*, Write, void*, Stream);
LETHE_RMSNORM(double, double)
LETHE_RMSNORM(float, float)
LETHE_RMSNORM(float, bf16)
LETHE_RMSNORM(bf16, float)
LETHE_RMSNORM(bf16, bf16)
#undef LETHE_RMSNORM

}  // namespace lethe::kernels::cuda
