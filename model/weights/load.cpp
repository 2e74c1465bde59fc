#include "model/weights/load.h"

#include "model/transformer.h"
#include "model/weights/names.h"

namespace lethe {
namespace {

// Straight from the mapped file where it holds the engine's own type; else a buffer of some converted rows
// goes between.
void load(Session& session, const std::string& name, const SafetensorsFile& file,
          const std::string& stored_name) {
  constexpr int64_t kStagingBytes = 8 << 20;
  const Buffer b = session.buffer(name);
  const int64_t row = b.width * size_of(b.dtype), pitch = b.pitch * size_of(b.dtype);
  const SafetensorsEntry& entry = file.require(stored_name);
  if (entry.type == stored_type_of(b.dtype)) {
    return session.backend().upload_rows(b.data, pitch, file.bytes(entry).data(), row, b.rows);
  }
  const int64_t rows_at_once = std::max<int64_t>(1, kStagingBytes / std::max<int64_t>(1, row));
  std::vector<std::byte> staging(static_cast<size_t>(std::min(rows_at_once, b.rows) * row));
  for (int64_t first = 0; first < b.rows; first += rows_at_once) {
    const int64_t count = std::min(rows_at_once, b.rows - first);
    file.read(stored_name, {staging.data(), b.dtype, b.width}, {first, count});
    session.backend().upload_rows(static_cast<std::byte*>(b.data) + first * pitch, pitch, staging.data(), row,
                                  count);
  }
}

}  // namespace

void load_weights(Session& session, const ModelFiles& files, const LlamaConfig& config) {
  for (const ModelTensor& t : model_tensors(config))
    load(session, t.hf_name, *files.require(t.hf_name).file, t.hf_name);
}

void load_adapter(Session& session, const AdapterFiles& adapter, const LlamaConfig& config) {
  for (const AdapterTensor& t : adapter_tensors(config, adapter.config)) {
    load(session, t.name, *adapter.weights, t.file_name);
  }
  measure_base(session);
}

}  // namespace lethe
