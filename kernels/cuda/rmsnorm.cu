// RMS normalisation, alone or with the residual addition before it: a warp or a block a row, which stays in
// registers between the sum and the scaling. Rows that do not fit there are read again from the first-level
// cache.
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/rmsnorm.cuh"
#include "kernels/rmsnorm.h"

namespace lethe::kernels::cuda {
namespace {

template <class T, int N>
__device__ Pack<T, N> scaled(const Pack<T, N>& gain, const Pack<T, N>& x, compute_t<T> r) {
  Values<T, N> normal = widen(x);
#pragma unroll
  for (int i = 0; i < N; ++i) normal.at[i] *= r;
  normal = widen(narrow(normal));
  const Values<T, N> g = widen(gain);
#pragma unroll
  for (int i = 0; i < N; ++i) normal.at[i] *= g.at[i];
  return narrow(normal);
}

template <class C>
__device__ C inverse_of(C sum, int64_t width, C epsilon) {
  return C(1) / sqrt(sum / static_cast<C>(width) + epsilon);
}

constexpr int kRowsAtOnce = 4;  // of a block whose warps take a row each

// What is normalised: the rows as they are, their sum with others, or the rows with the r known from before.
enum class Form { plain, add, again };

template <class T, Form kForm>
using InverseRms = std::conditional_t<kForm == Form::again, const compute_t<T>, compute_t<T>>;

// b, z: without data where nothing is added.
template <class T, int V, bool kWarp, Form kForm>
__global__ void __launch_bounds__(kWarp ? 32 * kRowsAtOnce : kRowThreads<T>)
    row_in_registers(Rows<const T> a, Rows<const T> b, const T* gain, compute_t<T> epsilon, Rows<T> z,
                     Rows<T> y, InverseRms<T, kForm>* inverse_rms) {
  using C = compute_t<T>;
  constexpr int N = kVector<T>;
  constexpr bool kAdd = kForm == Form::add;
  const int64_t row =
      kWarp ? static_cast<int64_t>(blockIdx.x) * kRowsAtOnce + threadIdx.y : static_cast<int64_t>(blockIdx.x);
  if (kWarp && row >= a.rows) return;
  const int width = static_cast<int>(a.width), step = (kWarp ? 32 : static_cast<int>(blockDim.x)) * N;
  const int first = static_cast<int>(threadIdx.x) * N;
  Pack<T, N> x[V], other[V], g[V];
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const int c = first + k * step;
    if (c >= width) continue;
    x[k] = load_pack<N>(row_of(a, row) + c);
    if constexpr (kAdd) other[k] = load_pack<N>(row_of(b, row) + c);
    g[k] = load_pack<N>(gain + c);
  }
  C sum = 0, r;
  if constexpr (kForm == Form::again) r = inverse_rms[row];
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const int c = first + k * step;
    if (c >= width) continue;
    if constexpr (kAdd) {
      Values<T, N> z_values = widen(x[k]);
      const auto b_values = widen(other[k]);
#pragma unroll
      for (int i = 0; i < N; ++i) z_values.at[i] += b_values.at[i];
      x[k] = narrow(z_values);
      store_pack(row_of(z, row) + c, x[k]);
    }
    if constexpr (kForm != Form::again) {
      const auto v = widen(x[k]);
#pragma unroll
      for (int i = 0; i < N; ++i) sum += v.at[i] * v.at[i];
    }
  }
  if constexpr (kForm != Form::again) {
    if constexpr (kWarp) {
      sum = warp_sum(sum);
    } else {
      __shared__ C shared[32];
      sum = row_sum(sum, shared);
    }
    r = inverse_of(sum, width, epsilon);
    if (threadIdx.x == 0) inverse_rms[row] = r;
  }
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const int c = first + k * step;
    if (c >= width) continue;
    store_pack(row_of(y, row) + c, scaled(g[k], x[k], r));
  }
}

// Any width and any alignment. A thread reads again only what it wrote itself.
template <class T>
__global__ void row_twice(Rows<const T> a, Rows<const T> b, const T* gain, compute_t<T> epsilon, Rows<T> z,
                          Rows<T> y, compute_t<T>* inverse_rms) {
  using C = compute_t<T>;
  __shared__ C shared[32];
  const int64_t row = blockIdx.x;
  const T* in = row_of(a, row);
  C sum = 0;
  for (int64_t c = threadIdx.x; c < a.width; c += blockDim.x) {
    T v = in[c];
    if (z.data) row_of(z, row)[c] = v = narrow<T>(widen(v) + widen(row_of(b, row)[c]));
    sum += widen(v) * widen(v);
  }
  if (z.data) in = row_of(z, row);
  const C r = inverse_of(row_sum(sum, shared), a.width, epsilon);
  if (threadIdx.x == 0) inverse_rms[row] = r;
  for (int64_t c = threadIdx.x; c < a.width; c += blockDim.x)
    store_pack(row_of(y, row) + c, scaled(load_pack<1>(gain + c), load_pack<1>(in + c), r));
}

template <class T>
struct Again {
  Rows<const T> x;
  const T* gain;
  const compute_t<T>* inverse_rms;
  Rows<T> y;

  template <int N>
  __device__ Pack<T, N> value(int64_t row, int64_t c) const {
    return scaled(load_pack<N>(gain + c), load_pack<N>(row_of(x, row) + c), inverse_rms[row]);
  }
  template <int N>
  __device__ void put(int64_t row, int64_t c, const Pack<T, N>& out) const {
    store_pack(row_of(y, row) + c, out);
  }
};

template <class T, Form kForm>
void launch_rows(Rows<const T> a, Rows<const T> b, const T* gain, compute_t<T> epsilon, Rows<T> z, Rows<T> y,
                 InverseRms<T, kForm>* inverse_rms, Stream stream) {
  for_row_packs<T>(a.width, [&]<int V, bool kWarp>(int threads) {
    // Wide rows that are scaled again have no sum that a block would be needed for.
    if constexpr (kWarp || kForm != Form::again) {
      const int down = kWarp ? kRowsAtOnce : 1;
      const dim3 block(static_cast<unsigned>(threads), static_cast<unsigned>(down));
      row_in_registers<T, V, kWarp, kForm>
          <<<static_cast<unsigned>((a.rows + down - 1) / down), block, 0, native(stream)>>>(
              a, b, gain, epsilon, z, y, inverse_rms);
    }
  });
}

}  // namespace

template <class T>
void rmsnorm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, compute_t<T>* inverse_rms,
             Stream stream) {
  if (x.rows == 0) return;
  const auto blocks = static_cast<unsigned>(x.rows);
  const auto eps = static_cast<compute_t<T>>(epsilon);
  const Rows<const T> no_addend;
  const Rows<T> no_sum;
  if (!fits_row_packs(gain, x, y)) {
    row_twice<T><<<blocks, threads_for(x.width), 0, native(stream)>>>(x, no_addend, gain, eps, no_sum, y,
                                                                      inverse_rms);
    return;
  }
  launch_rows<T, Form::plain>(x, no_addend, gain, eps, no_sum, y, inverse_rms, stream);
}

template <class T>
void add_rmsnorm(Rows<const T> a, Rows<const T> b, const T* gain, double epsilon, Rows<T> z, Rows<T> y,
                 compute_t<T>* inverse_rms, Stream stream) {
  if (a.rows == 0) return;
  const auto blocks = static_cast<unsigned>(a.rows);
  const auto eps = static_cast<compute_t<T>>(epsilon);
  if (!fits_row_packs(gain, a, b, z, y)) {
    row_twice<T><<<blocks, threads_for(a.width), 0, native(stream)>>>(a, b, gain, eps, z, y, inverse_rms);
    return;
  }
  launch_rows<T, Form::add>(a, b, gain, eps, z, y, inverse_rms, stream);
}

template <class T>
void rmsnorm_again(Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms, Rows<T> y,
                   Stream stream) {
  if (x.rows == 0) return;
  if (x.width <= kWarpRow<T> && fits_row_packs(gain, x, y)) {
    return launch_rows<T, Form::again>(x, Rows<const T>{}, gain, compute_t<T>{}, Rows<T>{}, y, inverse_rms,
                                       stream);
  }
  const Again<T> body{x, gain, inverse_rms, y};
  constexpr int N = kVector<T>;
  const bool wide =
      x.width % N == 0 && aligned(x) && aligned(y) && reinterpret_cast<uintptr_t>(gain) % 16 == 0;
  if (wide) return launch_elements<N>(x.rows, x.width, body, stream);
  launch_elements<1>(x.rows, x.width, body, stream);
}

#define LETHE_RMSNORM(T)                                                                         \
  template void rmsnorm<T>(Rows<const T>, const T*, double, Rows<T>, compute_t<T>*, Stream);     \
  template void add_rmsnorm<T>(Rows<const T>, Rows<const T>, const T*, double, Rows<T>, Rows<T>, \
                               compute_t<T>*, Stream);                                           \
  template void rmsnorm_again<T>(Rows<const T>, const T*, const compute_t<T>*, Rows<T>, Stream);
LETHE_RMSNORM(double)
LETHE_RMSNORM(float)
LETHE_RMSNORM(bf16)
#undef LETHE_RMSNORM

}  // namespace lethe::kernels::cuda
