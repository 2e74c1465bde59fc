// What all CUDA kernels share: widening and rounding of storage types, 16-byte loads and stores, sums over a
// block in one fixed order. Storage is widened to compute_t where it is loaded and rounded once where it is
// stored, as on the CPU.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

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

// N elements as they are stored, loaded or stored at once in pieces of 16 bytes: half the registers of bf16
// values that are widened. Two bf16 lie in a word, the first in its lower half.
template <class T, int N>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  T at[N];
};
template <int N>
requires(N % 2 == 0) struct alignas(2 * N < 16 ? 2 * N : 16) Pack<bf16, N> {
  uint32_t words[N / 2];
};

template <class T, int N>
struct Values {
  compute_t<T> at[N];
};

template <int N, class T>
__device__ inline Pack<std::remove_const_t<T>, N> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<std::remove_const_t<T>, N>*>(from);
}

template <class T, int N>
__device__ inline Values<T, N> widen(const Pack<T, N>& pack) {
  Values<T, N> values;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if constexpr (std::is_same_v<T, bf16> && N % 2 == 0) {
      const uint32_t word = pack.words[i / 2];
      values.at[i] = __uint_as_float(i % 2 ? word & 0xffff0000u : word << 16);
    } else {
      values.at[i] = widen(pack.at[i]);
    }
  }
  return values;
}

template <int N, class T>
__device__ inline Values<std::remove_const_t<T>, N> load(const T* from) {
  return widen(load_pack<N>(from));
}

// Rounds each value once.
template <class T, int N>
__device__ inline Pack<T, N> narrow(const Values<T, N>& values) {
  Pack<T, N> pack;
  if constexpr (std::is_same_v<T, bf16> && N % 2 == 0) {
#pragma unroll
    for (int i = 0; i < N; i += 2)
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;"
          : "=r"(pack.words[i / 2])
          : "f"(values.at[i + 1]), "f"(values.at[i]));
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) pack.at[i] = narrow<T>(values.at[i]);
  }
  return pack;
}

template <class T, int N>
__device__ inline void store_pack(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

// The values, or their sum with what lies there: what store would write with Write::overwrite. Loads that
// come before any store can all be in flight at once.
template <class T, int N>
__device__ inline Values<T, N> joined(const T* to, Values<T, N> values, Write write) {
  if (write == Write::accumulate) {
    const Values<T, N> before = load<N>(to);
#pragma unroll
    for (int i = 0; i < N; ++i) values.at[i] = before.at[i] + values.at[i];
  }
  return values;
}

template <int N, class T>
__device__ inline void store(T* to, const Values<T, N>& values, Write write) {
  store_pack(to, narrow(joined(to, values, write)));
}

// e^x. In float by the hardware's 2^x: right to 2 + |x| units in the last place; 0 and infinity at the ends.
__device__ inline double exponential(double x) {
  return exp(x);
}
__device__ inline float exponential(float x) {
  return __expf(x);
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
