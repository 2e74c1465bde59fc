// y = x or y += x between floating types: one element-wise pass, 16 bytes of the narrower type a thread.
#include <type_traits>

#include "kernels/copy.h"
#include "kernels/cuda/elements.cuh"

namespace lethe::kernels::cuda {
namespace {

template <class X, class Y>
struct Copy {
  static constexpr int vector = kVector<X, Y>;
  Rows<const X> x;
  Rows<Y> y;
  Write write;

  template <int N>
  __device__ Values<Y, N> value(int64_t r, int64_t c) const {
    const auto in = load<N>(row_of(x, r) + c);
    Values<Y, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = static_cast<compute_t<Y>>(in.at[i]);
    return joined(row_of(y, r) + c, out, write);
  }
  template <int N>
  __device__ void put(int64_t r, int64_t c, const Values<Y, N>& out) const {
    store(row_of(y, r) + c, out, Write::overwrite);
  }
};

}  // namespace

template <class X, class Y>
void copy(Rows<const X> x, Rows<Y> y, Write write, Stream stream) {
  for_elements(
      stream,
      [&](auto in, auto out) {
        return Copy<X, Y>{in, out, write};
      },
      x, y);
}

#define LETHE_COPY(X, Y) template void copy<X, Y>(Rows<const X>, Rows<Y>, Write, Stream);
LETHE_COPY(double, double)
LETHE_COPY(double, float)
LETHE_COPY(double, bf16)
LETHE_COPY(float, double)
LETHE_COPY(float, float)
LETHE_COPY(float, bf16)
LETHE_COPY(bf16, double)
LETHE_COPY(bf16, float)
LETHE_COPY(bf16, bf16)
#undef LETHE_COPY

}  // namespace lethe::kernels::cuda
