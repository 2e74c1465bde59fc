// libFuzzer: bytes as a model's config.json. Whatever they are, reading ends in one of Lethe's errors or in a
// configuration that reads the same when it is written again.
#include <cstdint>
#include <cstdlib>

#include "engine/error.h"
#include "engine/log.h"
#include "model/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  lethe::LlamaConfig config;
  try {
    config = lethe::parse_config_text("config.json", {reinterpret_cast<const char*>(bytes), size});
  } catch (const lethe::Error&) {
    return 0;
  }
  if (lethe::parse_config_text("again", lethe::config_text(config)) != config) std::abort();
  lethe::parameter_count(config);
  return 0;
}
