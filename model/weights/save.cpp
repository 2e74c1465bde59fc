#include "model/weights/save.h"

#include <filesystem>

#include "engine/files/session_tensor.h"
#include "model/weights/model_files.h"
#include "model/weights/names.h"

namespace lethe {

void save_model(const std::string& folder, const Session& session, const LlamaConfig& config) {
  std::filesystem::create_directories(folder);
  std::vector<TensorToWrite> tensors;
  std::string dtype;
  for (const ModelTensor& t : model_tensors(config)) {
    tensors.push_back(session_tensor(session, session.state().require(t.hf_name), t.hf_name));
    tensors.back().shape = t.shape();
    dtype = name_of(session.buffer(t.hf_name).dtype);
  }
  write_model(folder, tensors);
  LlamaConfig written = config;
  written.dtype = dtype;
  write_config(folder + "/config.json", written);
}

void save_adapter(const std::string& folder, const Session& session, const LoraConfig& lora,
                  const LlamaConfig& config, const std::string& base) {
  std::filesystem::create_directories(folder);
  std::vector<TensorToWrite> tensors;
  for (const AdapterTensor& t : adapter_tensors(config, lora)) {
    tensors.push_back(session_tensor(session, session.state().require(t.name), t.file_name));
    tensors.back().shape = t.shape;
  }
  LoraConfig written = lora;
  written.base_model_name = base;
  write_adapter(folder, written, tensors);
}

}  // namespace lethe
