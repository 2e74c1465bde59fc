// Where a run's weights come from, opened and checked before anything is allocated.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/session.h"
#include "model/config.h"
#include "model/weights/model_files.h"
#include "model/weights/peft.h"
#include "tools/options/train_options.h"

namespace lethe {

struct ModelSource {
  LlamaConfig config;
  std::optional<ModelFiles> files;  // absent: a fresh model
  uint64_t initial_seed = 0;
  std::string path;         // the folder or GGUF file; empty: a fresh model
  std::string name;         // what was asked for: the path, or a name at the hub
  std::string fingerprint;  // of the configuration's arithmetic and, of a loaded model, its files' headers
};

// Reads config.json and the weights' headers. Throws FormatError and RequestError, and what local_model
// throws; touches nothing but the hub's cache.
ModelSource open_model(const TrainOptions::Model& options);
// name: a folder, a GGUF file or a name at the hub, which is downloaded (tools/hub/model.h).
ModelSource open_model_folder(const std::string& name);

// The configuration alone, of which a plan is made: a model at the hub is not downloaded for it.
LlamaConfig model_config(const TrainOptions::Model& options);

// The model as PEFT's adapter_config.json names an adapter's base: the folder, or a name at the hub and the
// commit that was loaded.
struct BaseReference {
  std::string name, revision;
};
BaseReference base_reference(const ModelSource& source);

// Fills weights (and the rope table) of a planned session.
void fill_model(Session& session, const ModelSource& source);

// The adapter that the configuration asks for, or nothing for full fine-tuning. Throws ConfigError for one
// that the model cannot have.
std::optional<LoraConfig> lora_of(const TrainOptions& options, const LlamaConfig& model);

// The program's dtypes for a name of the option `precision`.
Precision precision_of(const std::string& name);
// The same for training, with the types of gradients and optimizer state.
Precision precision_of(const TrainOptions& options);

}  // namespace lethe
