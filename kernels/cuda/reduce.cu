// Sums over whole tensors, in double. Two launches: a number of pieces that the shape alone decides, one
// block each, then one block that adds the pieces in a fixed order.
#include <math_constants.h>

#include "kernels/cuda/elements.cuh"
#include "kernels/reduce.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kThreads = 256;

// What is summed: the value at an element, N at a time.
template <class T>
struct Value {
  Rows<const T> x;
  template <int N>
  __device__ double at(int64_t r, int64_t c) const {
    const auto v = load<N>(row_of(x, r) + c);
    double sum = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) sum += static_cast<double>(v.at[i]);
    return sum;
  }
};
template <class T>
struct Square {
  Rows<const T> x;
  template <int N>
  __device__ double at(int64_t r, int64_t c) const {
    const auto v = load<N>(row_of(x, r) + c);
    double sum = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) sum += static_cast<double>(v.at[i]) * static_cast<double>(v.at[i]);
    return sum;
  }
};
template <class T>
struct Weighted {
  Rows<const T> x, w;
  template <int N>
  __device__ double at(int64_t r, int64_t c) const {
    const auto v = load<N>(row_of(x, r) + c), by = load<N>(row_of(w, r) + c);
    double sum = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) sum += static_cast<double>(v.at[i]) * static_cast<double>(by.at[i]);
    return sum;
  }
};

template <int N, class Term>
__global__ void __launch_bounds__(kThreads) pieces(int64_t rows, int64_t width, Term term, double* scratch) {
  __shared__ double shared[32];
  const int64_t across = width / N, all = rows * across, step = static_cast<int64_t>(gridDim.x) * kThreads;
  double sum = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < all; i += step) {
    const int64_t r = rows == 1 ? 0 : i / across;
    sum += term.template at<N>(r, (i - r * across) * N);
  }
  sum = block_reduce(sum, Plus{}, shared);
  if (threadIdx.x == 0) scratch[blockIdx.x] = sum;
}

__device__ double total_of(const double* scratch, int64_t count) {
  __shared__ double shared[32];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += scratch[i];
  return block_reduce(sum, Plus{}, shared);
}

template <class R>
__global__ void __launch_bounds__(kThreads)
    finish(const double* scratch, int64_t count, R* total, Write write) {
  const double sum = total_of(scratch, count);
  if (threadIdx.x != 0) return;
  *total = static_cast<R>(write == Write::accumulate ? static_cast<double>(*total) + sum : sum);
}

__global__ void __launch_bounds__(kThreads)
    norm_of(const double* partials, int64_t count, double max_norm, double* norm, double* scale) {
  const double length = sqrt(total_of(partials, count));
  if (threadIdx.x != 0) return;
  *norm = length;
  double factor = 1;
  if (max_norm > 0 && max_norm / (length + 1e-6) < 1) factor = max_norm / (length + 1e-6);
  *scale = isfinite(length) ? factor : CUDART_NAN;
}

template <class T>
Rows<T> flat(Rows<T> x, bool dense) {
  if (!dense) return x;
  return {x.data, 1, x.rows * x.width, x.rows * x.width};
}

template <class T, template <class> class Term, class R, class... X>
void reduce(double* scratch, R* total, Write write, Stream stream, Rows<const T> first, X... rest) {
  const bool dense = first.pitch == first.width && ((rest.pitch == rest.width) && ...);
  const int64_t count = reduction_pieces(first.rows, first.width);
  if (count > 0) {
    const Rows<const T> x = flat(first, dense);
    const Term<T> term{x, flat(rest, dense)...};
    constexpr int N = kVector<T>;
    const auto blocks = static_cast<unsigned>(count);
    if (x.width % N == 0 && (aligned(x) && ... && aligned(flat(rest, dense)))) {
      pieces<N><<<blocks, kThreads, 0, native(stream)>>>(x.rows, x.width, term, scratch);
    } else {
      pieces<1><<<blocks, kThreads, 0, native(stream)>>>(x.rows, x.width, term, scratch);
    }
  }
  finish<R><<<1, kThreads, 0, native(stream)>>>(scratch, count, total, write);
}

template <class T>
struct Scaled {
  static constexpr int vector = kVector<T>;
  const compute_t<T>* scale;
  Rows<const T> x;
  Rows<T> y;
  Write write;

  template <int N>
  __device__ void at(int64_t r, int64_t c) const {
    const auto v = load<N>(row_of(x, r) + c);
    Values<T, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = *scale * v.at[i];
    store(row_of(y, r) + c, out, write);
  }
};

}  // namespace

template <class T, class R>
void sum(Rows<const T> x, double* scratch, R* total, Write write, Stream stream) {
  reduce<T, Value>(scratch, total, write, stream, x);
}

template <class T>
void sum_of_squares(Rows<const T> x, double* scratch, double* total, Stream stream) {
  reduce<T, Square>(scratch, total, Write::overwrite, stream, x);
}

template <class T>
void weighted_sum(Rows<const T> x, Rows<const T> w, double* scratch, compute_t<T>* total, Write write,
                  Stream stream) {
  reduce<T, Weighted>(scratch, total, write, stream, x, w);
}

template <class T>
void scaled(const compute_t<T>* scale, Rows<const T> x, Rows<T> y, Write write, Stream stream) {
  for_elements(
      stream,
      [&](auto in, auto out) {
        return Scaled<T>{scale, in, out, write};
      },
      x, y);
}

void finish_norm(const double* partials, int64_t count, double max_norm, double* norm, double* scale,
                 Stream stream) {
  norm_of<<<1, kThreads, 0, native(stream)>>>(partials, count, max_norm, norm, scale);
}

#define LETHE_REDUCE(T)                                                                               \
  template void sum<T, double>(Rows<const T>, double*, double*, Write, Stream);                       \
  template void sum<T, float>(Rows<const T>, double*, float*, Write, Stream);                         \
  template void sum_of_squares<T>(Rows<const T>, double*, double*, Stream);                           \
  template void weighted_sum<T>(Rows<const T>, Rows<const T>, double*, compute_t<T>*, Write, Stream); \
  template void scaled<T>(const compute_t<T>*, Rows<const T>, Rows<T>, Write, Stream);
LETHE_REDUCE(double)
LETHE_REDUCE(float)
LETHE_REDUCE(bf16)
#undef LETHE_REDUCE

}  // namespace lethe::kernels::cuda
