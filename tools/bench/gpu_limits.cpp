#include "tools/bench/gpu_limits.h"

#include <algorithm>

#include "tools/bench/gpu_memory.h"

namespace lethe {

GpuFacts gpu_facts() {
  cudaDeviceProp properties{};
  size_t free = 0, total = 0;
  check_cuda(cudaSetDevice(0), "the first GPU");
  check_cuda(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  check_cuda(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return {properties.name, static_cast<int64_t>(total), static_cast<int64_t>(free)};
}

double gpu_copy_bandwidth() {
  constexpr int kRepeats = 12;
  const int64_t bytes = std::min(int64_t{2} << 30, gpu_facts().free_bytes / 8 / 256 * 256);
  const auto from = gpu_memory(bytes, "a copy's source"), to = gpu_memory(bytes, "a copy's target");
  const GpuTimer timer;
  const auto size = static_cast<size_t>(bytes);
  check_cuda(cudaMemsetAsync(from.get(), 1, size, timer.stream()), "cudaMemset");
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const double seconds = timer.seconds([&] {
      check_cuda(cudaMemcpyAsync(to.get(), from.get(), size, cudaMemcpyDeviceToDevice, timer.stream()),
                 "a copy on the device");
    });
    best = std::max(best, 2.0 * static_cast<double>(bytes) / seconds);
  }
  return best;
}

double gpu_product_flops() {
  constexpr int64_t kSide = 8192;
  MatrixProduct square{.form = kernels::MatmulForm::nt, .m = kSide, .n = kSide, .k = kSide, .count = 1};
  square.a = square.b = square.c = DType::bf16;
  const double seconds = best_product_seconds(square);
  if (seconds <= 0) throw DeviceError("cuBLASLt", "offers no algorithm for a large bf16 product");
  return square.flops() / seconds;
}

}  // namespace lethe
