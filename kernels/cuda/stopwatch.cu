#include "kernels/cuda/device.cuh"
#include "kernels/stopwatch.h"

namespace lethe::kernels::cuda {
namespace {

// One clock for all multiprocessors, in steps of a microsecond at most (PTX ISA, special registers).
__device__ int64_t now() {
  uint64_t nanoseconds = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(nanoseconds));
  return static_cast<int64_t>(nanoseconds);
}

__global__ void start_kernel(Stopwatch* stopwatch) {
  stopwatch->begun = now();
}

__global__ void stop_kernel(Stopwatch* stopwatch) {
  stopwatch->nanoseconds += now() - stopwatch->begun;
}

}  // namespace

void start(Stopwatch* stopwatch, Stream stream) {
  start_kernel<<<1, 1, 0, native(stream)>>>(stopwatch);
}

void stop(Stopwatch* stopwatch, Stream stream) {
  stop_kernel<<<1, 1, 0, native(stream)>>>(stopwatch);
}

}  // namespace lethe::kernels::cuda
