// Which backend a request gets.
#include <fmt/format.h>

#include <charconv>

#include "engine/backend/backend.h"
#include "engine/backend/libraries.h"
#include "engine/log.h"

namespace lethe {

#if !LETHE_WITH_CUDA
LibraryVersions cuda_libraries() {
  return {};
}

std::string cuda_device_id(int) {
  return "";
}

CudaTrouble cuda_trouble(int) {
  return {CudaTrouble::Kind::absent, "this build has no CUDA backend (LETHE_CUDA=ON)"};
}

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  throw DeviceError("cuda", cuda_trouble(options.ordinal).text);
}
#endif

bool cuda_is_available(int ordinal) {
  return cuda_trouble(ordinal).kind == CudaTrouble::Kind::none;
}

bool parse_device(const std::string& text, int* ordinal) {
  int number = 0;
  if (text.starts_with("cuda:")) {
    const auto [end, error] = std::from_chars(text.data() + 5, text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 0 || text[5] == '-')
      return false;
  } else if (text != "auto" && text != "cpu" && text != "cuda") {
    return false;
  }
  if (ordinal) *ordinal = number;
  return true;
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  int ordinal = 0;
  if (!parse_device(options.device, &ordinal)) {
    throw ConfigError("device", fmt::format("{} is none of auto, cpu, cuda, cuda:N", options.device));
  }
  const bool automatic = options.device == "auto";
  if (options.device == "cpu" || (automatic && !LETHE_WITH_CUDA)) {
    return make_cpu_backend({.threads = options.threads});
  }
  const CudaTrouble trouble = cuda_trouble(ordinal);
  if (trouble.kind == CudaTrouble::Kind::none) {
    return make_cuda_backend({.graph = options.graph,
                              .ordinal = ordinal,
                              .trace = options.trace,
                              .tuned_products = options.tuned_products,
                              .matmul_cache = options.matmul_cache,
                              .comm = options.comm});
  }
  const bool unfit = trouble.kind == CudaTrouble::Kind::unfit;
  if (!automatic && unfit) throw DeviceError(options.device, trouble.text);
  if (!automatic) throw ConfigError("device", fmt::format("{}: {}", options.device, trouble.text));
  if (unfit) log::warning("running on the CPU: " + trouble.text);
  return make_cpu_backend({.threads = options.threads});
}

}  // namespace lethe
