// libFuzzer: bytes as a GGUF file. Whatever they are, reading ends in values or in one of Lethe's errors, in
// memory bounded by the file's size.
#include "engine/files/gguf.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "engine/error.h"
#include "model/weights/gguf_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const int file = memfd_create("gguf", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 || pwrite(file, bytes, size, 0) != static_cast<ssize_t>(size)) return 0;
  try {
    const lethe::GgufModel model(path);
    for (const auto& entry : model.entries()) {
      std::vector<float> row(static_cast<size_t>(entry.width()));
      model.read(entry.name, {row.data(), lethe::DType::f32, 0}, {0, 1});
    }
  } catch (const lethe::Error&) {
  }
  return 0;
}
