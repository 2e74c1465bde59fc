// A model's folder: its tensors in one safetensors file, or in shards with an index; or its GGUF file.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/files/safetensors_writer.h"
#include "engine/files/tensor_file.h"

namespace lethe {

// A tensor and the file it lies in.
struct StoredTensor {
  const TensorFile* file = nullptr;
  const SafetensorsEntry* entry = nullptr;

  explicit operator bool() const { return entry != nullptr; }
  void read(const RowTarget& target, RowRange rows = {}) const { file->read(entry->name, target, rows); }
};

class ModelFiles {
 public:
  // Opens model.safetensors, or every shard that model.safetensors.index.json names; or a file NAME.gguf,
  // whose tensors go by their Hugging Face names (model/weights/gguf_model.h). Throws FormatError if there
  // are both or neither, if the index and the shards do not hold the same tensors, each once, or if a file is
  // refused; pickle files (pytorch_model.bin) are never read.
  static ModelFiles open(const std::string& directory);

  const std::string& directory() const { return directory_; }
  const std::vector<std::unique_ptr<TensorFile>>& files() const { return files_; }
  // The file or index that stands for the whole in messages.
  const std::string& path() const { return path_; }
  // In the order of files and bytes.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  // False if there is no such tensor.
  StoredTensor find(std::string_view name) const;
  // Throws FormatError if there is no such tensor.
  StoredTensor require(std::string_view name) const;

 private:
  void add(std::unique_ptr<TensorFile> file);
  void open_shards();

  std::string directory_, path_;
  std::vector<std::unique_ptr<TensorFile>> files_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string_view, size_t> index_;
};

// The files that a model.safetensors.index.json names. Throws FormatError if one is no plain file name.
std::set<std::string> shard_names(const std::string& index);

constexpr int64_t default_shard_bytes = 5'000'000'000;

// Writes the tensors as model.safetensors, or, if they hold more than `shard_bytes`, as shards in the order
// given (a tensor above the limit is a shard of its own) with model.safetensors.index.json; then removes
// shards and index of a model that was there before. All bytes are on the disk before the first name changes,
// and the index goes first and comes last, so that an interruption leaves the old model, the new one, or a
// folder that open() refuses, never a mixture. Throws as write_safetensors does.
void write_model(const std::string& directory, const std::vector<TensorToWrite>& tensors,
                 int64_t shard_bytes = default_shard_bytes,
                 const SafetensorsMetadata& metadata = default_metadata());

}  // namespace lethe
