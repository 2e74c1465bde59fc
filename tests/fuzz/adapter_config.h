// Bytes as the adapter_config.json of a PEFT adapter for a small model. Whatever they are, reading ends in
// one of Lethe's errors or in an adapter that reads the same when it is written again.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "engine/error.h"
#include "model/config.h"
#include "model/weights/peft.h"

namespace lethe {

// A file in memory that holds the bytes until the next call.
inline std::string path_of_bytes(const std::string& bytes) {
  static const int file = memfd_create("adapter_config", MFD_CLOEXEC);
  if (ftruncate(file, 0) != 0 || pwrite(file, bytes.data(), bytes.size(), 0) != std::ssize(bytes))
    throw std::logic_error("no file in memory");
  return "/proc/self/fd/" + std::to_string(file);
}

// Whether they were accepted. Throws std::logic_error if that does not hold.
inline bool run_adapter_config(const std::string& bytes) {
  LlamaConfig model;
  model.vocab_size = 32;
  model.hidden_size = 16;
  model.intermediate_size = 24;
  model.num_hidden_layers = 2;
  model.num_attention_heads = model.num_key_value_heads = 2;
  model.head_dim = 8;
  LoraConfig lora;
  try {
    lora = parse_lora_config(path_of_bytes(bytes));
    check_lora_config(lora, model);
    adapter_tensors(model, lora);
  } catch (const Error&) {
    return false;
  }
  const std::string written = lora_config_text(lora);
  if (parse_lora_config(path_of_bytes(written)) != lora)
    throw std::logic_error("reads otherwise: " + written);
  return true;
}

}  // namespace lethe
