// What all CUDA kernels share: widening and rounding of storage types, 16-byte loads and stores, sums over a
// block in one fixed order. Storage is widened to compute_t where it is loaded and rounded once where it is
// stored, as on the CPU.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cuda {

inline cudaStream_t native(Stream stream) {
  return static_cast<cudaStream_t>(stream);
}

__device__ inline double widen(double v) {
  return v;
}
__device__ inline float widen(float v) {
  return v;
}
__device__ inline float widen(bf16 v) {
  return __uint_as_float(static_cast<uint32_t>(v.bits) << 16);
}

// Rounds to nearest, ties to even.
template <class T>
__device__ inline T narrow(compute_t<T> v) {
  return v;
}
template <>
__device__ inline bf16 narrow<bf16>(float v) {
  bf16 rounded;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded.bits) : "f"(v));
  return rounded;
}

template <class T>
__device__ inline T* row_of(const Rows<T>& x, int64_t i) {
  return x.data + i * x.pitch;
}

// N elements that are loaded or stored at once, in pieces of 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  T at[N];
};

template <class T, int N>
struct Values {
  compute_t<T> at[N];
};

template <int N, class T>
__device__ inline Values<std::remove_const_t<T>, N> load(const T* from) {
  const auto pack = *reinterpret_cast<const Pack<std::remove_const_t<T>, N>*>(from);
  Values<std::remove_const_t<T>, N> values;
#pragma unroll
  for (int i = 0; i < N; ++i) values.at[i] = widen(pack.at[i]);
  return values;
}

template <int N, class T>
__device__ inline void store(T* to, const Values<T, N>& values, Write write) {
  Pack<T, N> pack;
  if (write == Write::accumulate) {
    const Values<T, N> before = load<N>(to);
#pragma unroll
    for (int i = 0; i < N; ++i) pack.at[i] = narrow<T>(before.at[i] + values.at[i]);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) pack.at[i] = narrow<T>(values.at[i]);
  }
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// Whether every row starts on a 16-byte boundary.
template <class T>
bool aligned(const Rows<T>& x) {
  return reinterpret_cast<uintptr_t>(x.data) % 16 == 0 &&
         (x.rows == 1 || x.pitch * static_cast<int64_t>(sizeof(T)) % 16 == 0);
}

// How many elements make 16 bytes of the narrowest of the types.
template <class... T>
constexpr int kVector = 16 / static_cast<int>(std::min({sizeof(T)...}));

// The sum, or another associative join, over all threads of a block; every thread gets it. The order depends
// on the block's size alone. shared: one value a warp.
template <class V, class Join>
__device__ inline V block_reduce(V value, const Join& join, V* shared) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = join(value, __shfl_xor_sync(0xffffffffu, value, step));
  const int warp = static_cast<int>(threadIdx.x) / 32, warps = static_cast<int>(blockDim.x) / 32;
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[warp] = value;
  __syncthreads();
  value = shared[0];
  for (int w = 1; w < warps; ++w) value = join(value, shared[w]);
  return value;
}

struct Plus {
  template <class V>
  __device__ V operator()(V a, V b) const {
    return a + b;
  }
};

// Threads for one row of this many pieces of work: a multiple of 32 up to `most`.
inline int threads_for(int64_t pieces, int most = 256) {
  return static_cast<int>(std::clamp<int64_t>((pieces + 31) / 32 * 32, 32, most));
}

}  // namespace lethe::kernels::cuda
