#include "engine/architectures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace lethe {
namespace {

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// One entry of the list, "90a-real".
bool entry_has_code_for(std::string_view entry, int major, int minor) {
  int number = 0;
  const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), number);
  if (error != std::errc()) return false;
  std::string_view rest = entry.substr(static_cast<size_t>(end - entry.data()));
  const bool own_features = rest.starts_with("a");
  if (own_features) rest.remove_prefix(1);
  const int entry_major = number / 10, entry_minor = number % 10;
  if (own_features) return entry_major == major && entry_minor == minor;
  const bool binary = rest != "-virtual", ptx = rest != "-real";
  return (binary && entry_major == major && entry_minor <= minor) || (ptx && number <= 10 * major + minor);
}

}  // namespace

std::string compiled_architectures() {
  return LETHE_CUDA_ARCHITECTURES;
}

int compiled_runtime() {
  return LETHE_CUDA_RUNTIME;
}

bool has_code_for(const std::string& architectures, int major, int minor) {
  size_t first = 0;
  while (first < architectures.size()) {
    const size_t last = std::min(architectures.find_first_of(" ;", first), architectures.size());
    if (entry_has_code_for(std::string_view(architectures).substr(first, last - first), major, minor))
      return true;
    first = last + 1;
  }
  return false;
}

std::string driver_trouble(int driver, int runtime) {
  if (driver / 1000 >= runtime / 1000) return "";
  return driver == 0 ? fmt::format("no NVIDIA driver; one for CUDA {}.0 or newer is needed", runtime / 1000)
                     : fmt::format("the driver supports CUDA up to {}; one for CUDA {}.0 or newer is needed",
                                   version_text(driver), runtime / 1000);
}

std::string gpu_trouble(const std::string& name, int major, int minor) {
  if (has_code_for(compiled_architectures(), major, minor)) return "";
  return fmt::format(
      "{} has compute capability {}.{}, this lethe has code for {}; build it with "
      "-DLETHE_CUDA_ARCHITECTURES={}{} or the preset cuda-all",
      name, major, minor, compiled_architectures(), major, minor);
}

}  // namespace lethe
