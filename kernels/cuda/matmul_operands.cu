#include "kernels/cuda/device.cuh"
#include "kernels/cuda/matmul_operands.h"

namespace lethe::kernels::cuda {
namespace {

constexpr unsigned kThreads = 256;

unsigned blocks_for(int64_t count) {
  return static_cast<unsigned>(std::clamp<int64_t>((count + kThreads - 1) / kThreads, 1, 4096));
}

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
__device__ uint64_t mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

template <class T>
__global__ void fill_random_kernel(T* data, int64_t count, float deviation, uint64_t seed) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    const uint64_t word = mixed(seed + static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15);
    float sum = 0;
#pragma unroll
    for (int part = 0; part < 4; ++part) sum += static_cast<float>(word >> (16 * part) & 0xffff) * 0x1p-16f;
    // Four uniform values have a variance of 1/12 each.
    data[i] = narrow<T>(static_cast<compute_t<T>>((sum - 2) * 1.7320508f * deviation));
  }
}

__global__ void add_fingerprint_kernel(const uint16_t* data, int64_t count, unsigned long long* sum) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  unsigned long long part = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    part += mixed((static_cast<uint64_t>(i) << 16) + data[i]);
  }
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) part += __shfl_xor_sync(0xffffffffu, part, lane);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, part);
}

}  // namespace

void fill_random(MatmulType type, void* data, int64_t count, double deviation, uint64_t seed, Stream stream) {
  const auto fill = [&]<class T>(T* values) {
    fill_random_kernel<<<blocks_for(count), kThreads, 0, native(stream)>>>(
        values, count, static_cast<float>(deviation), seed);
  };
  switch (type) {
    case MatmulType::f64:
      return fill(static_cast<double*>(data));
    case MatmulType::f32:
      return fill(static_cast<float*>(data));
    case MatmulType::bf16:
      return fill(static_cast<bf16*>(data));
  }
}

void add_fingerprint(const void* data, int64_t bytes, uint64_t* sum, Stream stream) {
  static_assert(sizeof(unsigned long long) == sizeof(uint64_t));
  add_fingerprint_kernel<<<blocks_for(bytes / 2), kThreads, 0, native(stream)>>>(
      static_cast<const uint16_t*>(data), bytes / 2, reinterpret_cast<unsigned long long*>(sum));
}

}  // namespace lethe::kernels::cuda
