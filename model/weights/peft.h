// LoRA adapters as PEFT keeps them: adapter_config.json and adapter_model.safetensors in one folder.
// Source of the format: https://github.com/huggingface/peft (LoraConfig, get_peft_model_state_dict).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/files/safetensors.h"
#include "engine/files/safetensors_writer.h"
#include "engine/tensor.h"
#include "model/config.h"

namespace lethe {

// y = W x + scale B A dropout(x), on the targeted maps (Hu et al., "LoRA", 2021). Names of modules are given
// as PEFT takes them: a list, each entry a module's full name or its end from a "." on, or a regular
// expression of Python's that the full name must match as a whole. A full name is
// "model.layers.3.self_attn.q_proj".
struct LoraConfig {
  int64_t rank = 8;
  double alpha = 8.0;
  double dropout = 0.0;  // of the adapter's input, in training
  bool use_rslora = false;
  std::vector<std::string> target_modules = {"q_proj", "v_proj"};
  std::string base_model_name;
  std::string base_revision;      // of a base that is named at a hub; may be empty
  std::string target_expression;  // in place of target_modules, if not empty
  std::vector<std::string> exclude_modules;
  std::string exclude_expression;            // in place of exclude_modules, if not empty
  std::vector<int64_t> layers_to_transform;  // of what target_modules finds, these layers; empty: all
  std::vector<std::string> layers_pattern;   // the name before the layer's number, as an expression
  // An expression that a module's name, or its end from a "." on, must match: the first that does gives the
  // module's own rank and alpha.
  std::vector<std::pair<std::string, int64_t>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  // Ends of the names of modules that are trained in full and saved beside the factors: the embedding, the
  // head, norms.
  std::vector<std::string> modules_to_save;
  bool use_dora = false;  // magnitudes of the rows beside the factors (Liu et al., "DoRA", 2024)
  // Copies of the factors may lie in the weight's own buffer, so that one product does for both: not where
  // several ranks hold weight and factors. No matter of PEFT's.
  bool beside_weight = true;
  bool gaussian_init = false;  // A normal with standard deviation 1 / rank instead of kaiming uniform

  // alpha / rank, or alpha / sqrt(rank) with rsLoRA (Kalajdzievski 2023), where no pattern says otherwise.
  double scale() const;
  bool operator==(const LoraConfig&) const = default;
};

// The seven maps of a layer: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.
const std::vector<std::string>& lora_targets();

// What one map's adapter is.
struct LoraModule {
  int64_t rank = 0;
  double alpha = 0, scale = 0;
};
// The adapter of the map with this full name, or nothing if it is no target. PEFT's rules
// (check_target_module_exists, get_pattern_key). Throws RequestError for an expression that is none.
std::optional<LoraModule> adapter_of(const LoraConfig& config, const std::string& module);
// Whether modules_to_save names this module: by the end of its name, "." or not, as PEFT does.
bool is_saved_whole(const LoraConfig& config, const std::string& module);

// Throws ConfigError naming the field if a number is out of range or a list holds a name twice or nothing.
void check_lora_config(const LoraConfig& config);
// The same, and that every name finds a module of this model which can be adapted, or saved: ConfigError
// names those that do not.
void check_lora_config(const LoraConfig& config, const LlamaConfig& model);

// Reads adapter_config.json. What would change the arithmetic and is not implemented (biases, initialisations
// that change the base, …) is refused, and so is every unknown key that is
// set. Throws FormatError naming file, key and value.
LoraConfig parse_lora_config(const std::string& path);

// The text of adapter_config.json.
std::string lora_config_text(const LoraConfig& config);

// One tensor of an adapter's file.
struct AdapterTensor {
  std::string name;       // in State: "model.layers.0.self_attn.q_proj.lora_A.weight"
  std::string file_name;  // "base_model.model." + name
  Shape shape;            // A: [rank, in]; B: [out, rank]; a DoRA magnitude: [out]; or a whole module's
};

// A, B and magnitude of each targeted map, layer by layer; then what is saved whole.
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
