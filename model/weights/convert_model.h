// A model's folder written again: the same values in another type or other shards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/files/stored_type.h"
#include "model/config.h"
#include "model/weights/model_files.h"

namespace lethe {

struct ConvertOptions {
  std::optional<StoredType> type;  // of every tensor; absent: each as it is stored
  int64_t shard_bytes = default_shard_bytes;
};

// Writes the model of `files`, which check_model_files accepted, into `folder`: weights, a config.json with
// every key of the old one and only the dtype's changed, and what copy_side_files takes over. What a model
// may hold beside its tensors (an old rotary table, a tied head's copy) is left out. Some MiB of memory,
// however large the model. Throws RequestError naming tensor and element if a finite value is beyond the
// range of the type, IoError if the system refuses.
void convert_model(const ModelFiles& files, const LlamaConfig& config, const std::string& folder,
                   const ConvertOptions& options);

}  // namespace lethe
