// Rotary embedding. A thread turns N neighbouring pairs, the same of several heads of a row, so it reads its
// cosines and sines once; it reads both halves of all its heads before it writes either, so y may be x. A
// block takes as many rows as fill it: a row of 12 heads of 64 is work for 12 threads. N is 16 bytes' worth
// where half a head is a multiple of it.
#include "kernels/cuda/device.cuh"
#include "kernels/rope.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kMostThreads = 256;
constexpr int kMostDown = 64;  // what the third dimension of a block may be
constexpr int kHeads = 4;      // of a thread

// Threads: x along half a head, y over groups of heads, z over rows.
template <class T, int N>
__global__ void __launch_bounds__(kMostThreads)
    turn(Rows<const T> x, const int32_t* positions, const compute_t<T>* table, int heads, int half,
         int groups, compute_t<T> direction, Rows<T> y) {
  using C = compute_t<T>;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.z + threadIdx.z;
  const auto group = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
  if (row >= x.rows || group >= groups) return;
  const int32_t position = positions[row];
  for (int j = static_cast<int>(threadIdx.x) * N; j < half; j += static_cast<int>(blockDim.x) * N) {
    const T* from = row_of(x, row) + j;
    T* to = row_of(y, row) + j;
    Pack<T, N> a[kHeads], b[kHeads];
#pragma unroll
    for (int k = 0; k < kHeads; ++k) {
      const int head = group + k * groups;
      if (head >= heads) break;
      a[k] = load_pack<N>(from + head * 2 * half);
      b[k] = load_pack<N>(from + head * 2 * half + half);
    }
    // After the row's loads, which need not wait for the position.
    const C* const cosine = table + static_cast<int64_t>(position) * 2 * half + j;
    const auto cosines = load<N>(cosine), sines = load<N>(cosine + half);
#pragma unroll
    for (int k = 0; k < kHeads; ++k) {
      const int head = group + k * groups;
      if (head >= heads) break;
      const Values<T, N> u = widen(a[k]), v = widen(b[k]);
      Values<T, N> to_a, to_b;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const C co = cosines.at[i], si = direction * sines.at[i];
        to_a.at[i] = u.at[i] * co - v.at[i] * si;
        to_b.at[i] = v.at[i] * co + u.at[i] * si;
      }
      store_pack(to + head * 2 * half, narrow(to_a));
      store_pack(to + head * 2 * half + half, narrow(to_b));
    }
  }
}

template <int N, class T>
void launch(Rows<const T> x, const int32_t* positions, const compute_t<T>* table, int heads, int half,
            bool inverse, Rows<T> y, Stream stream) {
  const int groups = (heads + kHeads - 1) / kHeads;
  const int across = std::min(half / N, kMostThreads), down = std::min(groups, kMostThreads / across);
  const int rows = std::min(kMostThreads / (across * down), kMostDown);
  const dim3 grid(static_cast<unsigned>((x.rows + rows - 1) / rows),
                  static_cast<unsigned>((groups + down - 1) / down));
  const dim3 block(static_cast<unsigned>(across), static_cast<unsigned>(down), static_cast<unsigned>(rows));
  turn<T, N><<<grid, block, 0, native(stream)>>>(x, positions, table, heads, half, groups,
                                                 compute_t<T>(inverse ? -1 : 1), y);
}

}  // namespace

template <class T>
void rope(Rows<const T> x, const int32_t* positions, const compute_t<T>* table, int64_t heads,
          int64_t head_dim, bool inverse, Rows<T> y, Stream stream) {
  const auto half = static_cast<int>(head_dim / 2), count = static_cast<int>(heads);
  if (x.rows == 0 || count == 0 || half == 0) return;
  constexpr int N = kVector<T>;
  if (half % N == 0 && aligned(x) && aligned(y))
    return launch<N>(x, positions, table, count, half, inverse, y, stream);
  launch<1>(x, positions, table, count, half, inverse, y, stream);
}

#define LETHE_ROPE(T)                                                                                        \
  template void rope<T>(Rows<const T>, const int32_t*, const compute_t<T>*, int64_t, int64_t, bool, Rows<T>, \
                        Stream);
LETHE_ROPE(double)
LETHE_ROPE(float)
LETHE_ROPE(bf16)
#undef LETHE_ROPE

}  // namespace lethe::kernels::cuda
