#include "model/weights/load.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "engine/files/safetensors.h"
#include "engine/log.h"
#include "model/transformer.h"
#include "model/weights/names.h"

namespace lethe {
namespace {

// A tensor of a file and where it belongs.
struct Placed {
  const TensorFile* file;
  const SafetensorsEntry* entry;
  Buffer buffer;
};

// Straight from the file where it holds the engine's own type; else each piece is converted on its way.
RowSource source_of(const Placed& p) {
  const Buffer& b = p.buffer;
  const int64_t row = b.width * size_of(b.dtype);
  RowSource source{.device = b.data, .pitch = b.pitch * size_of(b.dtype), .row_bytes = row, .rows = b.rows};
  if (p.entry->type == stored_type_of(b.dtype)) {
    source.fill = [file = p.file, entry = p.entry, row](int64_t first, int64_t count, std::byte* to) {
      file->read_bytes(*entry, first * row, count * row, to);
    };
  } else {
    source.fill = [file = p.file, entry = p.entry, dtype = b.dtype, width = b.width](
                      int64_t first, int64_t count, std::byte* to) {
      file->read(entry->name, {to, dtype, width}, {first, count});
    };
  }
  return source;
}

// In the order of the files' bytes, as a disk likes it.
void load(Session& session, std::vector<Placed> placed) {
  std::ranges::sort(placed, [](const Placed& a, const Placed& b) {
    return a.file != b.file ? a.file->path() < b.file->path() : a.entry->begin < b.entry->begin;
  });
  std::vector<RowSource> sources;
  double bytes = 0;
  for (const Placed& p : placed) {
    sources.push_back(source_of(p));
    bytes += static_cast<double>(p.entry->end - p.entry->begin);
  }
  const auto start = std::chrono::steady_clock::now();
  session.backend().upload_sources(sources);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (bytes < 1e9) return;  // not worth a line
  log::info(fmt::format("{:.2f} GB of weights in {:.2f} s, {:.1f} GB/s", bytes * 1e-9, seconds,
                        bytes * 1e-9 / seconds));
}

}  // namespace

void load_weights(Session& session, const ModelFiles& files, const LlamaConfig& config) {
  std::vector<Placed> placed;
  for (const ModelTensor& t : model_tensors(config)) {
    const StoredTensor stored = files.require(t.hf_name);
    if (session.state()[session.state().require(t.hf_name)].absent) continue;
    placed.push_back({stored.file, stored.entry, session.buffer(t.hf_name)});
  }
  load(session, std::move(placed));
}

void load_adapter(Session& session, const AdapterFiles& adapter, const LlamaConfig& config) {
  std::vector<Placed> placed;
  for (const AdapterTensor& t : adapter_tensors(config, adapter.config)) {
    placed.push_back({adapter.weights.get(), &adapter.weights->require(t.file_name), session.buffer(t.name)});
  }
  load(session, std::move(placed));
  measure_base(session);
}

}  // namespace lethe
