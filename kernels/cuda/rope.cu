// Rotary embedding: a thread turns N pairs of one head, reading both halves before it writes either, so y may
// be x. N is 16 bytes' worth where half a head is a multiple of it.
#include "kernels/cuda/elements.cuh"
#include "kernels/rope.h"

namespace lethe::kernels::cuda {
namespace {

template <class T>
struct Rope {
  static constexpr int vector = kVector<T>;
  Rows<const T> x;
  Rows<T> y;
  const int32_t* positions;
  const compute_t<T>* table;
  int32_t half;
  compute_t<T> direction;

  // c counts pairs: head c / half, pair c % half.
  template <int N>
  __device__ void at(int64_t r, int64_t c) const {
    const auto pair = static_cast<int32_t>(c);
    const int32_t head = pair / half, j = pair % half;
    const compute_t<T>* cosine = table + static_cast<int64_t>(positions[r]) * 2 * half + j;
    const auto at_first = static_cast<int64_t>(head) * 2 * half + j;
    const auto a = load<N>(row_of(x, r) + at_first), b = load<N>(row_of(x, r) + at_first + half);
    const auto cosines = load<N>(cosine), sines = load<N>(cosine + half);
    Values<T, N> to_a, to_b;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const compute_t<T> co = cosines.at[i], si = direction * sines.at[i];
      to_a.at[i] = a.at[i] * co - b.at[i] * si;
      to_b.at[i] = b.at[i] * co + a.at[i] * si;
    }
    store(row_of(y, r) + at_first, to_a, Write::overwrite);
    store(row_of(y, r) + at_first + half, to_b, Write::overwrite);
  }
};

}  // namespace

template <class T>
void rope(Rows<const T> x, const int32_t* positions, const compute_t<T>* table, int64_t heads,
          int64_t head_dim, bool inverse, Rows<T> y, Stream stream) {
  const int64_t half = head_dim / 2;
  const Rope<T> body{x, y, positions, table, static_cast<int32_t>(half), compute_t<T>(inverse ? -1 : 1)};
  const bool wide = half % Rope<T>::vector == 0 && aligned(x) && aligned(y);
  if (wide) return launch_elements<Rope<T>::vector>(x.rows, heads * half, body, stream);
  launch_elements<1>(x.rows, heads * half, body, stream);
}

#define LETHE_ROPE(T)                                                                                        \
  template void rope<T>(Rows<const T>, const int32_t*, const compute_t<T>*, int64_t, int64_t, bool, Rows<T>, \
                        Stream);
LETHE_ROPE(double)
LETHE_ROPE(float)
LETHE_ROPE(bf16)
#undef LETHE_ROPE

}  // namespace lethe::kernels::cuda
