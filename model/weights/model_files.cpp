#include "model/weights/model_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "engine/files/json_file.h"
#include "engine/files/safetensors.h"
#include "engine/log.h"
#include "model/weights/gguf_model.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* single_name = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";

std::string in(const std::string& directory, const std::string& name) {
  return (fs::path(directory) / name).string();
}

bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Removes the part from the front of the text, if it is there.
bool take(std::string_view& text, std::string_view part) {
  if (!text.starts_with(part)) return false;
  text.remove_prefix(part.size());
  return true;
}

bool take_number(std::string_view& text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(digits);
  return digits >= 5;
}

// "model-00001-of-00003.safetensors"
bool is_shard_name(std::string_view name) {
  return take(name, "model-") && take_number(name) && take(name, "-of-") && take_number(name) &&
         name == ".safetensors";
}

std::vector<std::string> shard_names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    if (is_shard_name(i->path().filename().string())) names.push_back(i->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

[[noreturn]] void refuse_without_weights(const std::string& directory) {
  const auto shards = shard_names_in(directory);
  if (!shards.empty()) {
    throw FormatError(directory, "", fmt::format("holds {} but no {}", shards.front(), index_name));
  }
  std::error_code error;
  for (fs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    const std::string name = i->path().filename().string();
    if (name.starts_with("pytorch_model") && name.ends_with(".bin")) {
      throw FormatError(directory, name, "is a pickle, which could run any code: convert it to safetensors");
    }
  }
  throw FormatError(directory, "", fmt::format("holds neither {} nor {}", single_name, index_name));
}

bool is_plain_basename(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of("/\\") == std::string::npos;
}

// tensor -> shard
std::map<std::string, std::string> parse_index(const std::string& path) {
  const json root = parse_json(path, read_text(path));
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object()) {
    throw FormatError(path, "weight_map", "is missing or no object");
  }
  std::map<std::string, std::string> weight_map;
  for (const auto& [tensor, shard] : root["weight_map"].items()) {
    if (!shard.is_string() || !is_plain_basename(shard.get<std::string>())) {
      throw FormatError(path, tensor,
                        fmt::format("lies in {}, which is no plain file name", short_text(shard)));
    }
    weight_map[tensor] = shard.get<std::string>();
  }
  if (weight_map.empty()) throw FormatError(path, "weight_map", "is empty");
  return weight_map;
}

// Sizes that a index claims are not needed to read it, and old writers got them wrong: only a warning.
void compare_total_size(const std::string& path, const std::vector<StoredTensor>& tensors) {
  const json root = parse_json(path, read_text(path));
  const auto claimed = root.value(json::json_pointer("/metadata/total_size"), json(nullptr));
  uint64_t there = 0;
  for (const StoredTensor& tensor : tensors) there += tensor.entry->end - tensor.entry->begin;
  if (claimed.is_number() && claimed != json(there)) {
    log::warning(
        fmt::format("{}: total_size is {}, the shards hold {} bytes", path, short_text(claimed), there));
  }
}

uint64_t bytes_of(const std::string& directory, const TensorToWrite& tensor) {
  return tensor_bytes(directory, tensor.name, tensor.type, tensor.shape);
}

// transformers' rule: a new shard begins when the next tensor would pass the limit; a tensor above the limit
// becomes a shard at once, before the one being filled.
std::vector<std::vector<TensorToWrite>> split(const std::string& directory,
                                              const std::vector<TensorToWrite>& tensors,
                                              int64_t shard_bytes) {
  const auto limit = static_cast<uint64_t>(std::max<int64_t>(shard_bytes, 1));
  std::vector<std::vector<TensorToWrite>> shards;
  std::vector<TensorToWrite> filling;
  uint64_t filled = 0;
  for (const TensorToWrite& tensor : tensors) {
    const uint64_t bytes = bytes_of(directory, tensor);
    if (bytes > limit) {
      shards.push_back({tensor});
      continue;
    }
    if (filled + bytes > limit) {
      shards.push_back(std::exchange(filling, {}));
      filled = 0;
    }
    filling.push_back(tensor);
    filled += bytes;
  }
  if (!filling.empty() || shards.empty()) shards.push_back(std::move(filling));
  return shards;
}

std::string index_text(const std::string& directory, const std::vector<std::vector<TensorToWrite>>& shards,
                       const std::vector<std::string>& names) {
  json index = {{"metadata", {{"total_parameters", 0}, {"total_size", 0}}}, {"weight_map", json::object()}};
  uint64_t parameters = 0, bytes = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    for (const TensorToWrite& tensor : shards[i]) {
      const uint64_t own = bytes_of(directory, tensor);
      bytes += own;
      parameters += own * 8 / static_cast<uint64_t>(bits_of(tensor.type));
      if (!index["weight_map"].emplace(tensor.name, names[i]).second) {
        throw FormatError(directory, tensor.name, "the tensor is to be written twice");
      }
    }
  }
  index["metadata"]["total_parameters"] = parameters;
  index["metadata"]["total_size"] = bytes;
  return index.dump(2) + "\n";
}

}  // namespace

std::set<std::string> shard_names(const std::string& index) {
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : parse_index(index)) shards.insert(shard);
  return shards;
}

ModelFiles ModelFiles::open(const std::string& directory) {
  ModelFiles model;
  model.directory_ = directory;
  if (is_gguf(directory)) {
    model.path_ = directory;
    model.add(std::make_unique<GgufModel>(directory));
    return model;
  }
  if (!fs::is_directory(directory))
    throw FormatError(directory, "", "is not a model's folder: there is no such folder");
  const std::string single = in(directory, single_name), index = in(directory, index_name);
  const bool has_single = is_there(single), has_index = is_there(index);
  if (has_single && has_index) {
    throw FormatError(directory, "",
                      fmt::format("holds both {} and {}: which is meant?", single_name, index_name));
  }
  if (!has_single && !has_index) refuse_without_weights(directory);
  model.path_ = has_single ? single : index;
  if (has_single) {
    model.add(std::make_unique<SafetensorsFile>(single));
  } else {
    model.open_shards();
  }
  return model;
}

void ModelFiles::add(std::unique_ptr<TensorFile> file) {
  for (const SafetensorsEntry& entry : file->entries()) {
    const auto [where, is_new] = index_.emplace(entry.name, tensors_.size());
    if (!is_new) {
      throw FormatError(file->path(), entry.name,
                        fmt::format("the tensor lies in {} too", tensors_[where->second].file->path()));
    }
    tensors_.push_back({file.get(), &entry});
  }
  files_.push_back(std::move(file));
}

void ModelFiles::open_shards() {
  const auto weight_map = parse_index(path_);
  for (const std::string& shard : shard_names(path_)) {
    if (!is_there(in(directory_, shard))) throw FormatError(path_, shard, "the shard is not there");
    add(std::make_unique<SafetensorsFile>(in(directory_, shard)));
  }
  for (const auto& [tensor, shard] : weight_map) {
    const StoredTensor found = find(tensor);
    if (!found || found.file->path() != in(directory_, shard)) {
      throw FormatError(path_, tensor, fmt::format("is not in {}, where the index says it is", shard));
    }
  }
  for (const StoredTensor& tensor : tensors_) {
    if (!weight_map.contains(tensor.entry->name)) {
      throw FormatError(tensor.file->path(), tensor.entry->name,
                        fmt::format("is not named in {}", index_name));
    }
  }
  compare_total_size(path_, tensors_);
}

StoredTensor ModelFiles::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? StoredTensor{} : tensors_[found->second];
}

StoredTensor ModelFiles::require(std::string_view name) const {
  const StoredTensor tensor = find(name);
  if (!tensor) throw FormatError(path_, std::string(name), "the tensor is missing");
  return tensor;
}

void write_model(const std::string& directory, const std::vector<TensorToWrite>& tensors, int64_t shard_bytes,
                 const SafetensorsMetadata& metadata) {
  const auto shards = split(directory, tensors, shard_bytes);
  const bool single = shards.size() == 1;
  std::vector<std::string> names;
  for (size_t i = 0; i < shards.size(); ++i) {
    names.push_back(single ? single_name
                           : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size()));
  }
  const std::string index = single ? "" : index_text(directory, shards, names);

  std::vector<FileReplacement> files;
  files.reserve(shards.size() + 1);
  for (size_t i = 0; i < shards.size(); ++i) {
    write_safetensors(files.emplace_back(in(directory, names[i])), shards[i], metadata);
    files.back().sync();
  }
  if (!single) {
    files.emplace_back(in(directory, index_name)).write(index.data(), index.size());
    files.back().sync();
  }

  const std::string old_index = in(directory, index_name), old_single = in(directory, single_name);
  if (is_there(old_index) || (!single && is_there(old_single))) {
    remove_file(old_index);
    if (!single) remove_file(old_single);
    sync_directory(directory);
  }
  for (size_t i = 0; i < shards.size(); ++i) files[i].rename_over();
  sync_directory(directory);
  if (!single) files.back().rename_over();
  for (const std::string& name : shard_names_in(directory)) {
    if (std::ranges::find(names, name) == names.end()) remove_file(in(directory, name));
  }
  sync_directory(directory);
}

}  // namespace lethe
