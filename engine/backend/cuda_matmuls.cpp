#include "engine/backend/cuda_matmuls.h"

#include <fmt/format.h>

#include "engine/backend/cuda_check.h"
#include "engine/backend/user_cache.h"
#include "engine/log.h"

namespace lethe {
namespace {

MatmulMachine this_machine() {
  int device = 0, driver = 0;
  cudaDeviceProp properties{};
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  check_cuda(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  return {.gpu = properties.name,
          .multiprocessors = properties.multiProcessorCount,
          .driver = driver,
          .library = kernels::cuda::MatmulLibrary::version()};
}

}  // namespace

CudaMatmuls::CudaMatmuls(const CudaOptions& options)
    : cache_(options.matmul_cache.empty() ? user_cache_folder("matmul") : options.matmul_cache,
             this_machine()) {
  if (options.tuned_products) library_.learn(cache_.load());
}

void CudaMatmuls::report() {
  const auto [products, tuned] = library_.count();
  if (tuned == reported_) return;
  reported_ = tuned;
  log::info(fmt::format("{} of {} kinds of matrix product use the algorithm that tuning chose for them ({})",
                        tuned, products, cache_.file()));
}

std::vector<kernels::MatmulTuning> CudaMatmuls::tune(const kernels::MatmulTuneOptions& options,
                                                     cudaStream_t stream) {
  cache_.require_writable();
  std::vector<kernels::MatmulTuning> found = library_.tune(options, stream);
  kernels::MatmulChoices made;
  for (const kernels::MatmulTuning& t : found) {
    if (t.not_timed.empty()) made.emplace(t.product, t.choice);
  }
  if (!made.empty()) cache_.merge(made);
  reported_ = library_.count().tuned;
  return found;
}

}  // namespace lethe
