// Which backend a request gets.
#include <fmt/format.h>

#include "engine/backend/backend.h"

namespace lethe {

#if !LETHE_WITH_CUDA
bool cuda_is_available() {
  return false;
}

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions&) {
  throw DeviceError("cuda", "this build has no CUDA backend");
}
#endif

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  if (options.device != "auto" && options.device != "cpu" && options.device != "cuda") {
    throw ConfigError("device", fmt::format("{} is none of auto, cpu, cuda", options.device));
  }
  if (options.device == "cuda" && !cuda_is_available()) {
    throw ConfigError("device", LETHE_WITH_CUDA ? "cuda: this machine has no GPU that CUDA can use"
                                                : "cuda: this build has no CUDA backend (LETHE_CUDA=ON)");
  }
  if (options.device != "cpu" && cuda_is_available()) {
    return make_cuda_backend(
        {.tuned_products = options.tuned_products, .matmul_cache = options.matmul_cache});
  }
  return make_cpu_backend({.threads = options.threads});
}

}  // namespace lethe
