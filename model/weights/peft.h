// LoRA adapters as PEFT keeps them: adapter_config.json and adapter_model.safetensors in one folder.
// Source of the format: https://github.com/huggingface/peft (LoraConfig, get_peft_model_state_dict).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/files/safetensors_writer.h"
#include "model/config.h"

namespace lethe {

class SafetensorsFile;

// y = W x + scale() B A dropout(x), on the targeted maps of every layer (Hu et al., "LoRA", 2021).
struct LoraConfig {
  int64_t rank = 8;
  double alpha = 8.0;
  double dropout = 0.0;  // of the adapter's input, in training
  bool use_rslora = false;
  std::vector<std::string> target_modules = {"q_proj", "v_proj"};  // of lora_targets(), in its order
  std::string base_model_name;

  // alpha / rank, or alpha / sqrt(rank) with rsLoRA (Kalajdzievski 2023).
  double scale() const;
  bool operator==(const LoraConfig&) const = default;
};

// The seven maps of a layer: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.
const std::vector<std::string>& lora_targets();

// Throws ConfigError naming the field if rank < 1, alpha is not above 0, dropout not in [0, 1), or a target
// is unknown or stands there twice, or there is none.
void check_lora_config(const LoraConfig& config);

// Reads adapter_config.json. What would change the arithmetic and is not implemented (DoRA, patterns, biases,
// modules_to_save, initialisations that change the base, …) is refused, and so is every unknown key that is
// set. Throws FormatError naming file, key and value.
LoraConfig parse_lora_config(const std::string& path);

// The text of adapter_config.json.
std::string lora_config_text(const LoraConfig& config);

// One factor of a map's adapter.
struct AdapterTensor {
  std::string name;               // in State: "model.layers.0.self_attn.q_proj.lora_A.weight"
  std::string file_name;          // "base_model.model." + name
  int64_t rows = 0, columns = 0;  // A: [rank, in]; B: [out, rank]
};

// A and B of each targeted map, layer by layer.
std::vector<AdapterTensor> adapter_tensors(const LlamaConfig& model, const LoraConfig& lora);

// Throws FormatError, naming file, tensor and both shapes, if a factor is missing, has another shape or is
// not stored as a float, or if the file holds anything else.
void check_adapter_file(const SafetensorsFile& file, const LlamaConfig& model, const LoraConfig& lora);

// An adapter's folder, both files checked against each other and against the model.
struct AdapterFiles {
  LoraConfig config;
  std::unique_ptr<SafetensorsFile> weights;  // tensors under AdapterTensor::file_name
};
AdapterFiles open_adapter(const std::string& directory, const LlamaConfig& model);

// Writes both files; `tensors` under their file names, usually as F32 as PEFT does. Throws as
// check_lora_config and write_safetensors do.
void write_adapter(const std::string& directory, const LoraConfig& config,
                   const std::vector<TensorToWrite>& tensors);

}  // namespace lethe
