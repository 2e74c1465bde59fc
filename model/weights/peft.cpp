#include "model/weights/peft.h"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>
#include <unordered_set>

#include "engine/files/safetensors.h"
#include "model/weights/names.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

constexpr const char* config_name = "adapter_config.json";
constexpr const char* weights_name = "adapter_model.safetensors";

// For a message: that of the map the tensor belongs to.
int64_t rank_of(const AdapterTensor& tensor, const LoraConfig& lora) {
  const size_t end = tensor.name.find(".lora_");
  const auto adapter = adapter_of(lora, tensor.name.substr(0, end));
  return adapter ? adapter->rank : lora.rank;
}

}  // namespace

std::vector<AdapterTensor> adapter_tensors(const LlamaConfig& model, const LoraConfig& lora) {
  std::vector<AdapterTensor> tensors;
  const auto add = [&](const std::string& name, Shape shape) {
    tensors.push_back({name, "base_model.model." + name, std::move(shape)});
  };
  for (const LinearModule& module : linear_modules(model)) {
    const std::optional<LoraModule> adapter = adapter_of(lora, module.path);
    if (!adapter) continue;
    add(module.path + ".lora_A.weight", {adapter->rank, module.in});
    add(module.path + ".lora_B.weight", {module.out, adapter->rank});
    if (lora.use_dora) add(module.path + ".lora_magnitude_vector", {module.out});
  }
  constexpr std::string_view weight = ".weight";
  for (const ModelTensor& t : model_tensors(model)) {
    if (!t.hf_name.ends_with(weight)) continue;
    if (is_saved_whole(lora, t.hf_name.substr(0, t.hf_name.size() - weight.size())))
      add(t.hf_name, t.shape());
  }
  return tensors;
}

void check_adapter_file(const SafetensorsFile& file, const LlamaConfig& model, const LoraConfig& lora) {
  std::unordered_set<std::string> known;
  for (const AdapterTensor& expected : adapter_tensors(model, lora)) {
    const SafetensorsEntry* entry = file.find(expected.file_name);
    if (entry == nullptr) {
      throw FormatError(file.path(), expected.file_name, "the tensor is missing, though its map is a target");
    }
    if (entry->shape != expected.shape) {
      throw FormatError(file.path(), expected.file_name,
                        fmt::format("has shape {}, but rank {} and the model ask for {}",
                                    text_of(entry->shape), rank_of(expected, lora), text_of(expected.shape)));
    }
    if (!is_float(entry->type)) {
      throw FormatError(file.path(), expected.file_name,
                        fmt::format("is stored as {}, not as F32, F16, BF16 or F64", name_of(entry->type)));
    }
    known.insert(expected.file_name);
  }
  for (const SafetensorsEntry& entry : file.entries()) {
    if (!known.contains(entry.name)) {
      throw FormatError(file.path(), entry.name,
                        fmt::format("is no tensor of this adapter on this model (stored: {} {})",
                                    name_of(entry.type), text_of(entry.shape)));
    }
  }
}

AdapterFiles open_adapter(const std::string& directory, const LlamaConfig& model) {
  const fs::path folder(directory);
  AdapterFiles files;
  files.config = parse_lora_config((folder / config_name).string());
  try {
    check_lora_config(files.config, model);
  } catch (const RequestError& e) {
    throw FormatError((folder / config_name).string(), "", e.what());
  }
  std::error_code ignored;
  if (!fs::exists(folder / weights_name, ignored) && fs::exists(folder / "adapter_model.bin", ignored)) {
    throw FormatError(directory, "adapter_model.bin",
                      "is a pickle, which could run any code: convert it to safetensors");
  }
  files.weights = std::make_unique<SafetensorsFile>((folder / weights_name).string());
  check_adapter_file(*files.weights, model, files.config);
  return files;
}

void write_adapter(const std::string& directory, const LoraConfig& config,
                   const std::vector<TensorToWrite>& tensors) {
  check_lora_config(config);
  const std::string text = lora_config_text(config);
  FileReplacement weights((fs::path(directory) / weights_name).string());
  write_safetensors(weights, tensors);
  weights.sync();
  FileReplacement description((fs::path(directory) / config_name).string());
  description.write(text.data(), text.size());
  description.sync();
  weights.rename_over();
  description.rename_over();
  sync_directory(directory);
}

}  // namespace lethe
