#include "model/weights/convert_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/files/convert.h"
#include "engine/files/json_file.h"
#include "model/weights/gguf_model.h"
#include "model/weights/names.h"
#include "model/weights/side_files.h"

namespace lethe {
namespace {

// As config.json spells it.
const char* dtype_name(StoredType type) {
  switch (type) {
    case StoredType::f64:
      return "float64";
    case StoredType::f16:
      return "float16";
    case StoredType::bf16:
      return "bfloat16";
    default:
      return "float32";
  }
}

// Through doubles or floats, which hold each stored value exactly: it is rounded once.
TensorToWrite converted(const StoredTensor& stored, const std::string& name, StoredType type) {
  const DType between = stored.entry->type == StoredType::f64 ? DType::f64 : DType::f32;
  auto values = std::make_shared<std::vector<std::byte>>();
  auto fill = [=](int64_t first, int64_t count, std::byte* to) {
    const int64_t width = stored.entry->width(), all = count * width;
    if (stored.entry->type == type) {
      const int64_t row = width * bits_of(type) / 8;
      stored.file->read_bytes(*stored.entry, first * row, count * row, to);
      return;
    }
    values->resize(static_cast<size_t>(all * size_of(between)));
    stored.read({values->data(), between, 0}, {first, count});
    const int64_t lost = to_stored(between, values->data(), all, type, to);
    if (lost < 0) return;
    throw RequestError(fmt::format("{}: element {} of {} is beyond the range of {}", name,
                                   first * width + lost, text_of(stored.entry->shape), name_of(type)));
  };
  return {name, type, stored.entry->shape, std::move(fill)};
}

std::string config_with_dtype(const std::string& model, const LlamaConfig& config_read, const char* dtype) {
  if (is_gguf(model)) {
    LlamaConfig written = config_read;
    written.dtype = dtype;
    return config_text(written);
  }
  const std::string path = (std::filesystem::path(model) / "config.json").string();
  const std::string text = read_text(path);
  parse_json(path, text);  // strictly: no key twice
  auto config = nlohmann::ordered_json::parse(text);
  const bool newer = config.contains("dtype");
  if (newer) config["dtype"] = dtype;
  if (!newer || config.contains("torch_dtype")) config["torch_dtype"] = dtype;
  return config.dump(2) + "\n";
}

}  // namespace

void convert_model(const ModelFiles& files, const LlamaConfig& config, const std::string& folder,
                   const ConvertOptions& options) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::equivalent(files.directory(), folder, error)) {
    throw RequestError(folder + ": is the model's own folder; name another one");
  }
  std::vector<TensorToWrite> tensors;
  const StoredType first = files.require("model.embed_tokens.weight").entry->type;
  for (const ModelTensor& t : model_tensors(config)) {
    const StoredTensor stored = files.require(t.hf_name);
    tensors.push_back(converted(stored, t.hf_name, options.type.value_or(stored.entry->type)));
  }
  const std::string text =
      config_with_dtype(files.directory(), config, dtype_name(options.type.value_or(first)));
  fs::create_directories(folder, error);
  if (error) throw IoError(folder, error.message());
  write_model(folder, tensors, options.shard_bytes);
  replace_file((fs::path(folder) / "config.json").string(), text);
  copy_side_files(files.directory(), folder);
}

}  // namespace lethe
