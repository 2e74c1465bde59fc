#include <algorithm>
#include <type_traits>

#include "kernels/bf16.h"
#include "kernels/cuda/device.cuh"
#include "kernels/sum_ranks.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kBlocksAtMost = 132 * 4;  // beside the backward pass, which wants the processors too

template <class T>
struct alignas(16) Sixteen {
  T at[16 / sizeof(T)];
};
template <class T>
__device__ auto wide_of(T x) {
  if constexpr (std::is_same_v<T, bf16>) {
    return widen(x);
  } else {
    return x;
  }
}
template <class T, class Wide>
__device__ T rounded(Wide x) {
  if constexpr (std::is_same_v<T, bf16>) {
    return narrow<bf16>(x);
  } else {
    return x;
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_ranks_kernel(Sixteen<T>* own, const Sixteen<T>* others, int64_t stride, int me, int world,
                     int64_t packs) {
  using Wide = decltype(wide_of(T{}));
  constexpr int width = 16 / sizeof(T);
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < packs; i += step) {
    const Sixteen<T> mine = own[i];
    Wide sum[width];
    for (int r = 0; r < world; ++r) {
      const Sixteen<T> x = r == me ? mine : others[(r < me ? r : r - 1) * stride + i];
#pragma unroll
      for (int j = 0; j < width; ++j) {
        const Wide value = wide_of(x.at[j]);
        sum[j] = r == 0 ? value : sum[j] + value;
      }
    }
    Sixteen<T> out;
#pragma unroll
    for (int j = 0; j < width; ++j) out.at[j] = rounded<T>(sum[j]);
    own[i] = out;
  }
}

}  // namespace

template <class T>
void sum_ranks(T* own, const T* others, int64_t stride, int me, int world, int64_t count, Stream stream) {
  constexpr int64_t width = 16 / sizeof(T);
  const int64_t packs = count / width;
  if (packs == 0) return;
  const int64_t blocks = std::min(kBlocksAtMost, (packs + kThreads - 1) / kThreads);
  sum_ranks_kernel<T><<<static_cast<unsigned>(blocks), kThreads, 0, native(stream)>>>(
      reinterpret_cast<Sixteen<T>*>(own), reinterpret_cast<const Sixteen<T>*>(others), stride / width, me,
      world, packs);
}

template void sum_ranks<double>(double*, const double*, int64_t, int, int, int64_t, Stream);
template void sum_ranks<float>(float*, const float*, int64_t, int, int, int64_t, Stream);
template void sum_ranks<bf16>(bf16*, const bf16*, int64_t, int, int, int64_t, Stream);
template void sum_ranks<int64_t>(int64_t*, const int64_t*, int64_t, int, int, int64_t, Stream);

}  // namespace lethe::kernels::cuda
