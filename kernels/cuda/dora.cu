// The magnitudes of DoRA: norms from small products, a warp for each row of B; then one pass over the outputs
// forward and one backward, which sums the magnitudes' gradient down the columns on its way.
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/elements.cuh"
#include "kernels/dora.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kRowThreads = 256;

template <class T>
__global__ void __launch_bounds__(kRowThreads) row_squares_kernel(Rows<const T> w, compute_t<T>* squares) {
  __shared__ double shared[kRowThreads / 32];
  const T* row = row_of(w, static_cast<int64_t>(blockIdx.x));
  double sum = 0;
  for (int64_t k = threadIdx.x; k < w.width; k += kRowThreads) {
    const auto v = static_cast<double>(widen(row[k]));
    sum += v * v;
  }
  sum = block_reduce(sum, Plus{}, shared);
  if (threadIdx.x == 0) squares[blockIdx.x] = static_cast<compute_t<T>>(sum);
}

template <class C>
__device__ C warp_sum(C value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

__device__ inline double root(double v) {
  return sqrt(v);
}
__device__ inline float root(float v) {
  return __fsqrt_rn(v);
}

template <class T>
__global__ void __launch_bounds__(kRowThreads)
    dora_factors_kernel(const compute_t<T>* squares, Rows<const compute_t<T>> products,
                        Rows<const compute_t<T>> gram, Rows<const T> b, const compute_t<T>* magnitude,
                        compute_t<T> scale, compute_t<T>* factor, compute_t<T>* inverse_norm) {
  using C = compute_t<T>;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * (kRowThreads / 32) + threadIdx.x / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (i >= b.rows) return;
  const T* row = row_of(b, i);
  C mixed = 0, own = 0;
  for (int64_t k = lane; k < b.width; k += 32) {
    // G is symmetric: neighbouring lanes read neighbouring columns.
    C gram_row = 0;
    for (int64_t l = 0; l < b.width; ++l) gram_row += row_of(gram, l)[k] * widen(row[l]);
    mixed += widen(row[k]) * row_of(products, i)[k];
    own += widen(row[k]) * gram_row;
  }
  mixed = warp_sum(mixed);
  own = warp_sum(own);
  if (lane != 0) return;
  const C square = squares[i] + 2 * scale * mixed + scale * scale * own;
  const C norm = root(square > 0 ? square : C(0));
  inverse_norm[i] = 1 / norm;
  factor[i] = magnitude[i] / norm;
}

template <class T>
struct ScaleColumns {
  static constexpr int vector = kVector<T>;
  Rows<const T> z;
  const compute_t<T>* factor;
  Rows<T> y;

  template <int N>
  __device__ Values<T, N> value(int64_t r, int64_t c) const {
    Values<T, N> values = load<N>(row_of(z, r) + c);
#pragma unroll
    for (int i = 0; i < N; ++i) values.at[i] *= factor[c + i];
    return values;
  }
  template <int N>
  __device__ void put(int64_t r, int64_t c, const Values<T, N>& values) const {
    store(row_of(y, r) + c, values, Write::overwrite);
  }
};

// Blocks of kColumns x kDown threads, each thread N neighbouring columns. partial[part, c] = sum over the
// part's rows of dy * z, where it is wanted.
template <int N, class T>
__global__ void __launch_bounds__(kColumns* kDown)
    scale_columns_backward_kernel(Rows<const T> dy, Rows<const T> z, const compute_t<T>* factor, Rows<T> dz,
                                  Write write, int64_t rows_per_part, compute_t<T>* partial) {
  using C = compute_t<T>;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x) * N;
  const int64_t begin = blockIdx.y * rows_per_part, end = min(dy.rows, begin + rows_per_part);
  C sum[N] = {}, f[N] = {};
  if (column < dy.width) {
#pragma unroll
    for (int k = 0; k < N; ++k) f[k] = factor[column + k];
    for (int64_t i = begin + threadIdx.y; i < end; i += kDown) {
      Values<T, N> d = load<N>(row_of(dy, i) + column);
      const Values<T, N> v = load<N>(row_of(z, i) + column);
#pragma unroll
      for (int k = 0; k < N; ++k) {
        sum[k] += d.at[k] * v.at[k];
        d.at[k] *= f[k];
      }
      store(row_of(dz, i) + column, d, write);
    }
  }
  if (partial == nullptr) return;
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const C total = column_sum(sum[k]);
    __syncthreads();
    if (threadIdx.y == 0 && column < dy.width) partial[blockIdx.y * dy.width + column + k] = total;
  }
}

// dm[c] = (sum over parts of partial[part, c]) * inverse_norm[c].
template <class C>
__global__ void magnitude_gradient(const C* partial, int64_t parts, int64_t width, const C* inverse_norm,
                                   C* dmagnitude, Write write) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  C sum = 0;
  if (column < width) {
    for (int64_t p = threadIdx.y; p < parts; p += kDown) sum += partial[p * width + column];
  }
  sum = column_sum(sum);
  if (threadIdx.y == 0 && column < width)
    store(dmagnitude + column, Values<C, 1>{sum * inverse_norm[column]}, write);
}

}  // namespace

template <class T>
void row_squares(Rows<const T> w, compute_t<T>* squares, Stream stream) {
  if (w.rows == 0) return;
  row_squares_kernel<T><<<static_cast<unsigned>(w.rows), kRowThreads, 0, native(stream)>>>(w, squares);
}

template <class T>
void dora_factors(const compute_t<T>* squares, Rows<const compute_t<T>> products,
                  Rows<const compute_t<T>> gram, Rows<const T> b, const compute_t<T>* magnitude, double scale,
                  compute_t<T>* factor, compute_t<T>* inverse_norm, Stream stream) {
  if (b.rows == 0) return;
  constexpr int kRows = kRowThreads / 32;
  const auto blocks = static_cast<unsigned>((b.rows + kRows - 1) / kRows);
  dora_factors_kernel<T><<<blocks, kRowThreads, 0, native(stream)>>>(
      squares, products, gram, b, magnitude, static_cast<compute_t<T>>(scale), factor, inverse_norm);
}

template <class T>
void scale_columns(Rows<const T> z, const compute_t<T>* factor, Rows<T> y, Stream stream) {
  // Not for_elements: dense matrices would be one long row, and the factors are as wide as one of theirs.
  const ScaleColumns<T> body{z, factor, y};
  const bool wide = z.width % kVector<T> == 0 && aligned(z) && aligned(y);
  if (wide) return launch_elements<kVector<T>>(z.rows, z.width, body, stream);
  launch_elements<1>(z.rows, z.width, body, stream);
}

template <class T>
void scale_columns_backward(Rows<const T> dy, Rows<const T> z, const compute_t<T>* factor,
                            const compute_t<T>* inverse_norm, Rows<T> dz, Write write_dz,
                            compute_t<T>* dmagnitude, Write write_dmagnitude, void* workspace,
                            Stream stream) {
  using C = compute_t<T>;
  if (dy.width == 0) return;
  auto* const partial = dmagnitude == nullptr ? nullptr : static_cast<C*>(workspace);
  const int64_t parts = scale_columns_parts(dy.rows), rows_per_part = (dy.rows + parts - 1) / parts;
  const dim3 block(kColumns, kDown);
  const auto run = [&]<int N>() {
    const dim3 grid(column_blocks((dy.width + N - 1) / N), static_cast<unsigned>(parts));
    scale_columns_backward_kernel<N, T>
        <<<grid, block, 0, native(stream)>>>(dy, z, factor, dz, write_dz, rows_per_part, partial);
  };
  const bool wide = dy.width % kVector<T> == 0 && aligned(dy) && aligned(z) && aligned(dz);
  if (wide) {
    run.template operator()<kVector<T>>();
  } else {
    run.template operator()<1>();
  }
  if (dmagnitude == nullptr) return;
  magnitude_gradient<C><<<column_blocks(dy.width), block, 0, native(stream)>>>(
      partial, parts, dy.width, inverse_norm, dmagnitude, write_dmagnitude);
}

#define LETHE_DORA(T)                                                                                       \
  template void row_squares<T>(Rows<const T>, compute_t<T>*, Stream);                                       \
  template void dora_factors<T>(const compute_t<T>*, Rows<const compute_t<T>>, Rows<const compute_t<T>>,    \
                                Rows<const T>, const compute_t<T>*, double, compute_t<T>*, compute_t<T>*,   \
                                Stream);                                                                    \
  template void scale_columns<T>(Rows<const T>, const compute_t<T>*, Rows<T>, Stream);                      \
  template void scale_columns_backward<T>(Rows<const T>, Rows<const T>, const compute_t<T>*,                \
                                          const compute_t<T>*, Rows<T>, Write, compute_t<T>*, Write, void*, \
                                          Stream);
LETHE_DORA(double)
LETHE_DORA(float)
LETHE_DORA(bf16)
#undef LETHE_DORA

}  // namespace lethe::kernels::cuda
