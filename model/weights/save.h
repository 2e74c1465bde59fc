// From the tensors of a session to a model's or an adapter's folder.
#pragma once

#include <string>

#include "engine/session.h"
#include "model/weights/peft.h"

namespace lethe {

// Writes config.json and safetensors as Hugging Face lays them out, weights in the dtype they are held in.
// Throws IoError.
void save_model(const std::string& folder, const Session& session, const LlamaConfig& config);

// Writes a PEFT adapter; `base` names the model it belongs to. Throws IoError.
void save_adapter(const std::string& folder, const Session& session, const LoraConfig& lora,
                  const LlamaConfig& config, const std::string& base);

}  // namespace lethe
