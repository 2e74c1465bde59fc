// CUDA as the machine has it, asked of the driver itself: this build may know nothing of CUDA. Types and
// numbers are those of the CUDA driver API reference (cuda.h).
#include <fmt/format.h>

#include <array>

#include "engine/architectures.h"
#include "tools/doctor/machine.h"
#include "tools/doctor/shared_library.h"

namespace lethe {
namespace {

constexpr int capability_major = 75, capability_minor = 76;  // CUdevice_attribute

// CUDA writes 12.4 as 12040.
std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string runtime_version() {
  const SharedLibrary runtime{"libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so"};
  const auto get_version = runtime.function<int (*)(int*)>("cudaRuntimeGetVersion");
  int version = 0;
  return get_version && get_version(&version) == 0 ? version_text(version) : "";
}

void find_devices(const SharedLibrary& driver, Cuda& cuda) {
  const auto get_count = driver.function<int (*)(int*)>("cuDeviceGetCount");
  const auto get_name = driver.function<int (*)(char*, int, int)>("cuDeviceGetName");
  const auto get_memory = driver.function<int (*)(size_t*, int)>("cuDeviceTotalMem_v2");
  const auto get_attribute = driver.function<int (*)(int*, int, int)>("cuDeviceGetAttribute");
  int count = 0;
  if (!get_count || !get_name || !get_memory || !get_attribute || get_count(&count) != 0) {
    cuda.trouble = "the driver does not list its devices";
    return;
  }
  for (int device = 0; device < count; ++device) {  // a CUdevice is its ordinal
    Gpu gpu;
    std::array<char, 256> name{};
    size_t bytes = 0;
    if (get_name(name.data(), static_cast<int>(name.size()) - 1, device) == 0 &&
        get_memory(&bytes, device) == 0 && get_attribute(&gpu.major, capability_major, device) == 0 &&
        get_attribute(&gpu.minor, capability_minor, device) == 0) {
      gpu.name = name.data();
      gpu.memory = static_cast<int64_t>(bytes);
      if (cuda.compiled_in) gpu.trouble = gpu_trouble(fmt::format("GPU {}", device), gpu.major, gpu.minor);
      cuda.devices.push_back(gpu);
    }
  }
}

}  // namespace

Cuda find_cuda() {
  Cuda cuda;
  cuda.compiled_in = LETHE_WITH_CUDA;
  cuda.architectures = compiled_architectures();
  cuda.runtime = runtime_version();
  const SharedLibrary driver{"libcuda.so.1"};
  const auto get_version = driver.function<int (*)(int*)>("cuDriverGetVersion");
  const auto initialise = driver.function<int (*)(unsigned)>("cuInit");
  int version = 0;
  if (!get_version || !initialise || get_version(&version) != 0) {
    return cuda;
  }
  cuda.driver = version_text(version);
  if (const int status = initialise(0); status != 0) {
    cuda.trouble = fmt::format("cuInit gave CUDA error {}", status);
    return cuda;
  }
  find_devices(driver, cuda);
  if (cuda.compiled_in && cuda.trouble.empty()) cuda.trouble = driver_trouble(version, compiled_runtime());
  return cuda;
}

}  // namespace lethe
