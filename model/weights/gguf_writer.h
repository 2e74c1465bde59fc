// Writing a model as a GGUF file for llama.cpp.
#pragma once

#include <string>
#include <vector>

#include "engine/files/gguf.h"
#include "model/config.h"
#include "model/weights/model_files.h"

namespace lethe {

// A key of the file; integers are written as u32, lists of integers as i32, numbers as f32.
struct GgufKey {
  std::string name;
  GgufValue value;
};

// Matrices as `type`, F16 or Q8_0 (a matrix whose rows are no whole blocks as F16), vectors as F32, as
// llama.cpp's own converter stores them; rows of q and k in llama.cpp's order (see GgufModel). `tokenizer`:
// the keys from tokenizer.ggml.model on, may be empty. The old file at `path` is whole until the new one is.
// Throws RequestError for a model that the format cannot express and for a value beyond the type's range,
// naming tensor and row; IoError.
void write_gguf(const std::string& path, const ModelFiles& files, const LlamaConfig& config, GgmlType type,
                const std::vector<GgufKey>& tokenizer);

}  // namespace lethe
