// libFuzzer: bytes as a PEFT adapter's adapter_config.json, for a small model. Whatever they are, reading
// ends in one of Lethe's errors or in an adapter that reads the same when it is written again.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/error.h"
#include "model/config.h"
#include "model/weights/peft.h"

namespace {

// Writes the bytes to a file of their own in memory.
std::string file_of(int file, const void* bytes, size_t size) {
  if (ftruncate(file, 0) != 0 || pwrite(file, bytes, size, 0) != static_cast<ssize_t>(size)) std::abort();
  return "/proc/self/fd/" + std::to_string(file);
}

lethe::LlamaConfig small_model() {
  lethe::LlamaConfig model;
  model.vocab_size = 32;
  model.hidden_size = 16;
  model.intermediate_size = 24;
  model.num_hidden_layers = 2;
  model.num_attention_heads = model.num_key_value_heads = 2;
  model.head_dim = 8;
  return model;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const int file = memfd_create("adapter_config", MFD_CLOEXEC);
  static const lethe::LlamaConfig model = small_model();
  lethe::LoraConfig lora;
  try {
    lora = lethe::parse_lora_config(file_of(file, bytes, size));
    lethe::check_lora_config(lora, model);
    lethe::adapter_tensors(model, lora);
  } catch (const lethe::Error&) {
    return 0;
  }
  const std::string text = lethe::lora_config_text(lora);
  if (lethe::parse_lora_config(file_of(file, text.data(), text.size())) != lora) std::abort();
  return 0;
}
