// Rotary embedding: a block takes a row. A thread turns N neighbouring pairs, the same of several heads, so
// it reads its cosines and sines once; it reads both halves of a head before it writes either, so y may be x.
// N is 16 bytes' worth where half a head is a multiple of it.
#include "kernels/cuda/device.cuh"
#include "kernels/rope.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kMostThreads = 256;
constexpr int kHeads = 2;  // of a thread at once: their loads are in flight together

template <class T, int N>
__global__ void __launch_bounds__(kMostThreads)
    turn(Rows<const T> x, const int32_t* positions, const compute_t<T>* table, int heads, int half,
         compute_t<T> direction, Rows<T> y) {
  using C = compute_t<T>;
  const int64_t row = blockIdx.x;
  const C* const cosine = table + static_cast<int64_t>(positions[row]) * 2 * half;
  const int down = static_cast<int>(blockDim.y);
  for (int j = static_cast<int>(threadIdx.x) * N; j < half; j += static_cast<int>(blockDim.x) * N) {
    const T* from = row_of(x, row) + j;
    T* to = row_of(y, row) + j;
    const auto cosines = load<N>(cosine + j), sines = load<N>(cosine + half + j);
    for (int first = static_cast<int>(threadIdx.y); first < heads; first += kHeads * down) {
      Pack<T, N> a[kHeads], b[kHeads];
#pragma unroll
      for (int k = 0; k < kHeads; ++k) {
        const int head = first + k * down;
        if (head >= heads) break;
        a[k] = load_pack<N>(from + head * 2 * half);
        b[k] = load_pack<N>(from + head * 2 * half + half);
      }
#pragma unroll
      for (int k = 0; k < kHeads; ++k) {
        const int head = first + k * down;
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
}

template <int N, class T>
void launch(Rows<const T> x, const int32_t* positions, const compute_t<T>* table, int heads, int half,
            bool inverse, Rows<T> y, Stream stream) {
  const int across = std::min(half / N, kMostThreads);
  // As many rounds over the heads as it takes, and no more threads than fill each.
  const int rounds = (heads * across + kMostThreads - 1) / kMostThreads, down = (heads + rounds - 1) / rounds;
  const dim3 block(static_cast<unsigned>(across),
                   static_cast<unsigned>(std::clamp(down, 1, kMostThreads / across)));
  turn<T, N><<<static_cast<unsigned>(x.rows), block, 0, native(stream)>>>(x, positions, table, heads, half,
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
