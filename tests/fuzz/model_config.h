// Bytes as a model's config.json. Whatever they are, reading ends in one of Lethe's errors or in a
// configuration that reads the same when it is written again.
#pragma once

#include <stdexcept>
#include <string>

#include "engine/error.h"
#include "model/config.h"

namespace lethe {

// Whether they were accepted. Throws std::logic_error if that does not hold.
inline bool run_model_config(const std::string& bytes) {
  LlamaConfig config;
  try {
    config = parse_config_text("config.json", bytes);
  } catch (const Error&) {
    return false;
  }
  const std::string written = config_text(config);
  if (parse_config_text("written", written) != config) throw std::logic_error("reads otherwise: " + written);
  parameter_count(config);
  return true;
}

}  // namespace lethe
