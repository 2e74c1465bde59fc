// y = value, the value given by the host or read from memory: one element-wise pass of stores.
#include "kernels/cuda/elements.cuh"
#include "kernels/fill.h"

namespace lethe::kernels::cuda {
namespace {

template <class T, class S>
struct Broadcast {
  static constexpr int vector = kVector<T>;
  const S* beside;  // null: `given` is the value
  compute_t<T> given;
  Rows<T> y;
  Write write;

  template <int N>
  __device__ void at(int64_t r, int64_t c) const {
    const compute_t<T> value = beside ? static_cast<compute_t<T>>(*beside) : given;
    Values<T, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = value;
    store(row_of(y, r) + c, out, write);
  }
};

}  // namespace

template <class T>
void fill(Rows<T> y, compute_t<T> value, Stream stream) {
  for_elements(
      stream,
      [&](auto out) {
        return Broadcast<T, float>{nullptr, value, out, Write::overwrite};
      },
      y);
}

template <class T, class S>
void broadcast(const S* value, Rows<T> y, Write write, Stream stream) {
  for_elements(
      stream,
      [&](auto out) {
        return Broadcast<T, S>{value, 0, out, write};
      },
      y);
}

#define LETHE_FILL(T)                                                        \
  template void fill<T>(Rows<T>, compute_t<T>, Stream);                      \
  template void broadcast<T, double>(const double*, Rows<T>, Write, Stream); \
  template void broadcast<T, float>(const float*, Rows<T>, Write, Stream);
LETHE_FILL(double)
LETHE_FILL(float)
LETHE_FILL(bf16)
#undef LETHE_FILL

}  // namespace lethe::kernels::cuda
