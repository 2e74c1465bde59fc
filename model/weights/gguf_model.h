// A model in a GGUF file, under the names and in the order of rows that Hugging Face's files have.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "engine/files/gguf.h"
#include "engine/files/tensor_file.h"
#include "model/config.h"

namespace lethe {

// Whether a model's path names a GGUF file: by its ending.
bool is_gguf(const std::string& path);

// The configuration of a model's folder, or of a GGUF file. Throws FormatError.
LlamaConfig read_model_config(const std::string& model);

// From a file's metadata: architectures llama, qwen2 and qwen3. Scaled rotary positions of Llama 3 have no
// key but a tensor of factors, rope_freqs.weight; only factors that the llama3 formula gives are accepted.
// Throws FormatError naming file, key and value.
LlamaConfig gguf_config(const GgufFile& file);

// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight". The name must be of model_tensors().
std::string gguf_name_of(const std::string& hf_name);

// Quantised tensors have entries of type F32 and are dequantised as they are read. llama.cpp's files for the
// architecture llama hold the rows of q and k in another order (its rotary positions turn neighbours where
// Hugging Face's turn halves): row h D + 2 j + p there is row h D + p D/2 + j here.
class GgufModel final : public TensorFile {
 public:
  // Throws FormatError, also for a tensor that no such model has.
  explicit GgufModel(const std::string& path);

  const std::string& path() const override { return file_.path(); }
  const std::vector<SafetensorsEntry>& entries() const override { return entries_; }
  const SafetensorsMetadata& metadata() const override { return metadata_; }
  std::span<const std::byte> bytes(const SafetensorsEntry& entry) const override;
  void read_bytes(const SafetensorsEntry& entry, int64_t first, int64_t count, std::byte* to) const override;
  void read(std::string_view name, const RowTarget& target, RowRange rows = {}) const override;

 private:
  struct Source {
    size_t tensor = 0;     // of file_.tensors()
    int64_t head_dim = 0;  // above 0: rows lie in llama.cpp's order
  };
  const Source& source_of(const SafetensorsEntry& entry) const;
  void read_row(const SafetensorsEntry& entry, const Source& source, int64_t row, std::byte* to) const;

  GgufFile file_;
  std::vector<SafetensorsEntry> entries_;
  std::unordered_map<std::string, Source> sources_;
  SafetensorsMetadata metadata_;
};

}  // namespace lethe
