// libFuzzer: bytes as a safetensors file. Whatever they are, reading ends in values or in one of Lethe's
// errors, in memory bounded by the file's size.
#include "engine/files/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "engine/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const int file = memfd_create("safetensors", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 || pwrite(file, bytes, size, 0) != static_cast<ssize_t>(size)) return 0;
  try {
    const lethe::SafetensorsFile tensors(path);
    for (const auto& entry : tensors.entries()) {
      if (!lethe::is_float(entry.type)) continue;
      std::vector<float> values(static_cast<size_t>(entry.elements()));
      tensors.read(entry.name, {values.data(), lethe::DType::f32, 0});
    }
  } catch (const lethe::Error&) {
  }
  return 0;
}
