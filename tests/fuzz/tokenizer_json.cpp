// libFuzzer: see tokenizer_json.h.
#include "tests/fuzz/tokenizer_json.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  lethe::run_tokenizer_json({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
