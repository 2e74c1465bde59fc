// z = x + y: one element-wise pass.
#include "kernels/add.h"
#include "kernels/cuda/elements.cuh"

namespace lethe::kernels::cuda {
namespace {

template <class T>
struct Add {
  static constexpr int vector = kVector<T>;
  Rows<const T> x, y;
  Rows<T> z;

  template <int N>
  __device__ Values<T, N> value(int64_t r, int64_t c) const {
    const auto a = load<N>(row_of(x, r) + c), b = load<N>(row_of(y, r) + c);
    Values<T, N> sum;
#pragma unroll
    for (int i = 0; i < N; ++i) sum.at[i] = a.at[i] + b.at[i];
    return sum;
  }
  template <int N>
  __device__ void put(int64_t r, int64_t c, const Values<T, N>& sum) const {
    store(row_of(z, r) + c, sum, Write::overwrite);
  }
};

}  // namespace

template <class T>
void add(Rows<const T> x, Rows<const T> y, Rows<T> z, Stream stream) {
  for_elements(
      stream,
      [](auto a, auto b, auto sum) {
        return Add<T>{a, b, sum};
      },
      x, y, z);
}

template void add<double>(Rows<const double>, Rows<const double>, Rows<double>, Stream);
template void add<float>(Rows<const float>, Rows<const float>, Rows<float>, Stream);
template void add<bf16>(Rows<const bf16>, Rows<const bf16>, Rows<bf16>, Stream);

}  // namespace lethe::kernels::cuda
