// RMS normalisation. Forward and dx: one block a row, which sums, then goes over the row again while it is
// still in the first-level cache. The gain's gradient runs down columns: first each block sums a slice of
// rows for its columns into the workspace, then the slices are added in order, so the bits never vary.
#include "kernels/cuda/device.cuh"
#include "kernels/rmsnorm.h"

namespace lethe::kernels::cuda {
namespace {

template <class T, int N>
__global__ void forward(Rows<const T> x, const T* gain, compute_t<T> epsilon, Rows<T> y,
                        compute_t<T>* inverse_rms) {
  using C = compute_t<T>;
  __shared__ C shared[32];
  const int64_t row = blockIdx.x;
  const T* in = row_of(x, row);
  T* out = row_of(y, row);
  C sum = 0;
  for (int64_t c = static_cast<int64_t>(threadIdx.x) * N; c < x.width;
       c += static_cast<int64_t>(blockDim.x) * N) {
    const auto v = load<N>(in + c);
#pragma unroll
    for (int i = 0; i < N; ++i) sum += v.at[i] * v.at[i];
  }
  sum = block_reduce(sum, Plus{}, shared);
  const C r = C(1) / sqrt(sum / static_cast<C>(x.width) + epsilon);
  if (threadIdx.x == 0) inverse_rms[row] = r;
  for (int64_t c = static_cast<int64_t>(threadIdx.x) * N; c < x.width;
       c += static_cast<int64_t>(blockDim.x) * N) {
    const auto v = load<N>(in + c), g = load<N>(gain + c);
    Values<T, N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) result.at[i] = g.at[i] * widen(narrow<T>(v.at[i] * r));
    store(out + c, result, Write::overwrite);
  }
}

template <class T, int N>
__global__ void backward(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                         Rows<T> dx, Write write) {
  using C = compute_t<T>;
  __shared__ C shared[32];
  const int64_t row = blockIdx.x;
  const T *in = row_of(x, row), *d = row_of(dy, row);
  T* out = row_of(dx, row);
  C dot = 0;
  for (int64_t c = static_cast<int64_t>(threadIdx.x) * N; c < x.width;
       c += static_cast<int64_t>(blockDim.x) * N) {
    const auto v = load<N>(in + c), g = load<N>(gain + c), dv = load<N>(d + c);
#pragma unroll
    for (int i = 0; i < N; ++i) dot += g.at[i] * dv.at[i] * v.at[i];
  }
  dot = block_reduce(dot, Plus{}, shared);
  const C r = inverse_rms[row], along_x = r * r * dot / static_cast<C>(x.width);
  for (int64_t c = static_cast<int64_t>(threadIdx.x) * N; c < x.width;
       c += static_cast<int64_t>(blockDim.x) * N) {
    const auto v = load<N>(in + c), g = load<N>(gain + c), dv = load<N>(d + c);
    Values<T, N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) result.at[i] = r * (g.at[i] * dv.at[i] - v.at[i] * along_x);
    store(out + c, result, write);
  }
}

constexpr int kColumns = 32, kRowsAtOnce = 8;  // a block's threads, across and down

// partial[slice, c] = sum over the slice's rows of dy x r.
template <class T>
__global__ void gain_slices(Rows<const T> dy, Rows<const T> x, const compute_t<T>* inverse_rms,
                            int64_t rows_per_slice, compute_t<T>* partial) {
  using C = compute_t<T>;
  __shared__ C shared[kRowsAtOnce][kColumns];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  const int64_t begin = blockIdx.y * rows_per_slice, end = min(x.rows, begin + rows_per_slice);
  C sum = 0;
  if (column < x.width) {
    for (int64_t i = begin + threadIdx.y; i < end; i += kRowsAtOnce)
      sum += widen(row_of(dy, i)[column]) * widen(row_of(x, i)[column]) * inverse_rms[i];
  }
  shared[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= x.width) return;
  for (int k = 1; k < kRowsAtOnce; ++k) sum += shared[k][threadIdx.x];
  partial[blockIdx.y * x.width + column] = sum;
}

template <class C>
__global__ void gain_total(const C* partial, int64_t slices, int64_t width, C* dgain, Write write) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= width) return;
  C sum = 0;
  for (int64_t s = 0; s < slices; ++s) sum += partial[s * width + column];
  dgain[column] = write == Write::accumulate ? dgain[column] + sum : sum;
}

template <class T>
bool wide(const Rows<const T>& x, const void* gain) {
  return x.width % kVector<T> == 0 && aligned(x) && reinterpret_cast<uintptr_t>(gain) % 16 == 0;
}

}  // namespace

template <class T>
void rmsnorm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, compute_t<T>* inverse_rms,
             Stream stream) {
  if (x.rows == 0) return;
  const auto blocks = static_cast<unsigned>(x.rows);
  const auto eps = static_cast<compute_t<T>>(epsilon);
  if (wide(x, gain) && aligned(y)) {
    constexpr int N = kVector<T>;
    forward<T, N><<<blocks, threads_for(x.width / N), 0, native(stream)>>>(x, gain, eps, y, inverse_rms);
  } else {
    forward<T, 1><<<blocks, threads_for(x.width), 0, native(stream)>>>(x, gain, eps, y, inverse_rms);
  }
}

template <class T>
void rmsnorm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                      Rows<T> dx, Write write, Stream stream) {
  if (x.rows == 0) return;
  const auto blocks = static_cast<unsigned>(x.rows);
  if (wide(x, gain) && aligned(dy) && aligned(dx)) {
    constexpr int N = kVector<T>;
    backward<T, N>
        <<<blocks, threads_for(x.width / N), 0, native(stream)>>>(dy, x, gain, inverse_rms, dx, write);
  } else {
    backward<T, 1><<<blocks, threads_for(x.width), 0, native(stream)>>>(dy, x, gain, inverse_rms, dx, write);
  }
}

template <class T>
void rmsnorm_backward_gain(Rows<const T> dy, Rows<const T> x, const compute_t<T>* inverse_rms,
                           compute_t<T>* dgain, Write write, void* workspace, Stream stream) {
  using C = compute_t<T>;
  if (x.width == 0) return;
  const int64_t slices = rmsnorm_gain_slices(x.rows), per_slice = slices ? (x.rows + slices - 1) / slices : 0;
  auto* const partial = static_cast<C*>(workspace);
  if (slices > 0) {
    const dim3 grid(static_cast<unsigned>((x.width + kColumns - 1) / kColumns),
                    static_cast<unsigned>(slices));
    gain_slices<T>
        <<<grid, dim3(kColumns, kRowsAtOnce), 0, native(stream)>>>(dy, x, inverse_rms, per_slice, partial);
  }
  const auto blocks = static_cast<unsigned>((x.width + 127) / 128);
  gain_total<C><<<blocks, 128, 0, native(stream)>>>(partial, slices, x.width, dgain, write);
}

#define LETHE_RMSNORM(T)                                                                                   \
  template void rmsnorm<T>(Rows<const T>, const T*, double, Rows<T>, compute_t<T>*, Stream);               \
  template void rmsnorm_backward<T>(Rows<const T>, Rows<const T>, const T*, const compute_t<T>*, Rows<T>,  \
                                    Write, Stream);                                                        \
  template void rmsnorm_backward_gain<T>(Rows<const T>, Rows<const T>, const compute_t<T>*, compute_t<T>*, \
                                         Write, void*, Stream);
LETHE_RMSNORM(double)
LETHE_RMSNORM(float)
LETHE_RMSNORM(bf16)
#undef LETHE_RMSNORM

}  // namespace lethe::kernels::cuda
