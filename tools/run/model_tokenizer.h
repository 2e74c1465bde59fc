// The tokenizer that belongs to a model, wherever the model keeps it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "model/weights/gguf_writer.h"

namespace lethe {

// As open_tokenizer, or from the lists inside a GGUF file, or of a model at the hub (tools/hub/model.h).
// Throws DataError, FormatError, and what local_model throws.
std::unique_ptr<Tokenizer> open_model_tokenizer(const std::string& name);

// Puts the tokenizer and the chat template of a GGUF file into a folder, as a model's folder has them. Throws
// IoError and what the above throws; nothing happens if the file holds no tokenizer.
void save_gguf_side_files(const std::string& path, const std::string& folder);

// The keys that a GGUF file keeps the tokenizer of a model (folder or GGUF file) and its chat template under,
// none if the model has no tokenizer. Throws FormatError for one that cannot be kept so.
std::vector<GgufKey> gguf_tokenizer_keys(const std::string& model, int64_t vocab_size);

}  // namespace lethe
