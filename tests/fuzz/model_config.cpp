// libFuzzer: see model_config.h.
#include "tests/fuzz/model_config.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  lethe::run_model_config({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
