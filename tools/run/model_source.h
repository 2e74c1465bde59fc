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
  std::string path;         // the folder, or empty
  std::string fingerprint;  // of the configuration's arithmetic and, of a loaded model, its files' headers
};

// Reads config.json and the weights' headers. Throws FormatError and RequestError; touches nothing.
ModelSource open_model(const TrainOptions::Model& options);
ModelSource open_model_folder(const std::string& folder);

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
