// One element-wise pass; its gradient is a sum down the columns, in parts of the rows and then over the
// parts.
#include "kernels/bias.h"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/elements.cuh"

namespace lethe::kernels::cuda {
namespace {

template <class T>
struct AddBias {
  static constexpr int vector = kVector<T>;
  Rows<T> y;
  const T* bias;

  template <int N>
  __device__ Values<T, N> value(int64_t r, int64_t c) const {
    const auto a = load<N>(row_of(y, r) + c), b = load<N>(bias + c);
    Values<T, N> sum;
#pragma unroll
    for (int i = 0; i < N; ++i) sum.at[i] = a.at[i] + b.at[i];
    return sum;
  }
  template <int N>
  __device__ void put(int64_t r, int64_t c, const Values<T, N>& sum) const {
    store(row_of(y, r) + c, sum, Write::overwrite);
  }
};

// partial[part, c] = sum over the part's rows of dy.
template <class T>
__global__ void part_sums(Rows<const T> dy, int64_t rows_per_part, compute_t<T>* partial) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  const int64_t begin = blockIdx.y * rows_per_part, end = min(dy.rows, begin + rows_per_part);
  compute_t<T> sum = 0;
  if (column < dy.width) {
    for (int64_t i = begin + threadIdx.y; i < end; i += kDown) sum += widen(row_of(dy, i)[column]);
  }
  sum = column_sum(sum);
  if (threadIdx.y == 0 && column < dy.width) partial[blockIdx.y * dy.width + column] = sum;
}

}  // namespace

template <class T>
void add_bias(const T* bias, Rows<T> y, Stream stream) {
  // Not for_elements: a dense y would be one long row, and the bias is as wide as one of y's.
  const AddBias<T> body{y, bias};
  const bool wide = y.width % kVector<T> == 0 && aligned(y) && reinterpret_cast<uintptr_t>(bias) % 16 == 0;
  if (wide) return launch_elements<kVector<T>>(y.rows, y.width, body, stream);
  launch_elements<1>(y.rows, y.width, body, stream);
}

template <class T, class G>
void bias_gradient(Rows<const T> dy, G* dbias, Write write, void* workspace, Stream stream) {
  using C = compute_t<T>;
  if (dy.width == 0) return;
  auto* const partial = static_cast<C*>(workspace);
  const int64_t parts = bias_parts(dy.rows);
  const unsigned across = column_blocks(dy.width);
  const dim3 block(kColumns, kDown);
  part_sums<T><<<dim3(across, static_cast<unsigned>(parts)), block, 0, native(stream)>>>(
      dy, (dy.rows + parts - 1) / parts, partial);
  add_parts<C, G><<<across, block, 0, native(stream)>>>(partial, parts, dy.width, dbias, write);
}

#define LETHE_BIAS(T) template void add_bias<T>(const T*, Rows<T>, Stream);
LETHE_BIAS(double)
LETHE_BIAS(float)
LETHE_BIAS(bf16)
#undef LETHE_BIAS

#define LETHE_BIAS_GRADIENT(T, G) template void bias_gradient<T, G>(Rows<const T>, G*, Write, void*, Stream);
LETHE_BIAS_GRADIENT(double, double)
LETHE_BIAS_GRADIENT(float, float)
LETHE_BIAS_GRADIENT(float, bf16)
LETHE_BIAS_GRADIENT(bf16, float)
LETHE_BIAS_GRADIENT(bf16, bf16)
#undef LETHE_BIAS_GRADIENT

}  // namespace lethe::kernels::cuda
