#include "engine/files/safetensors_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/files/convert.h"

namespace lethe {
namespace {

constexpr int64_t chunk_bytes = 4 << 20;

std::vector<const TensorToWrite*> in_file_order(const std::string& file,
                                                const std::vector<TensorToWrite>& tensors) {
  std::vector<const TensorToWrite*> order;
  order.reserve(tensors.size());
  for (const TensorToWrite& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    return a->type != b->type ? a->type > b->type : a->name < b->name;
  });
  std::vector<std::string_view> names;
  for (const TensorToWrite* tensor : order) names.push_back(tensor->name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) throw FormatError(file, std::string(*twice), "the tensor is to be written twice");
  if (std::binary_search(names.begin(), names.end(), "__metadata__")) {
    throw FormatError(file, "__metadata__", "the name is reserved by the format");
  }
  return order;
}

SafetensorsHeader header_of(const std::string& file, const std::vector<const TensorToWrite*>& order,
                            const SafetensorsMetadata& metadata) {
  SafetensorsHeader header;
  header.metadata = metadata;
  uint64_t end = 0;
  for (const TensorToWrite* tensor : order) {
    if (bits_of(tensor->type) % 8 != 0) {
      throw FormatError(file, tensor->name, fmt::format("{} is not written", name_of(tensor->type)));
    }
    const uint64_t begin = end;
    end += tensor_bytes(file, tensor->name, tensor->type, tensor->shape);
    header.entries.push_back({tensor->name, tensor->type, tensor->shape, begin, end});
  }
  return header;
}

void for_each_piece(const std::vector<const TensorToWrite*>& order, const SafetensorsHeader& header,
                    const std::function<void(std::span<const std::byte>)>& body) {
  std::vector<std::byte> chunk;
  for (size_t i = 0; i < order.size(); ++i) {
    const SafetensorsEntry& entry = header.entries[i];
    const int64_t rows = entry.rows();
    if (entry.end == entry.begin) continue;
    const int64_t row_bytes = static_cast<int64_t>(entry.end - entry.begin) / rows;
    const int64_t rows_at_once = std::clamp<int64_t>(chunk_bytes / std::max<int64_t>(row_bytes, 1), 1, rows);
    chunk.resize(static_cast<size_t>(rows_at_once * row_bytes));
    for (int64_t first = 0; first < rows; first += rows_at_once) {
      const int64_t count = std::min(rows_at_once, rows - first);
      order[i]->fill(first, count, chunk.data());
      body(std::span(chunk).first(static_cast<size_t>(count * row_bytes)));
    }
  }
}

}  // namespace

TensorToWrite tensor_to_write(std::string name, StoredType type, Shape shape, const void* data, DType dtype,
                              int64_t pitch) {
  if (!convertible(type, dtype) || (!is_float(dtype) && type != stored_type_of(dtype))) {
    throw ShapeError(name, fmt::format("{} cannot be stored as {}", name_of(dtype), name_of(type)));
  }
  const int64_t width = shape.empty() ? 1 : shape.back();
  const int64_t row_pitch = pitch == 0 ? width : pitch;
  const int64_t stored_width = width * bits_of(type) / 8;
  auto fill = [name, type, data, dtype, width, row_pitch, stored_width](int64_t first, int64_t count,
                                                                        std::byte* out) {
    for (int64_t i = 0; i < count; ++i) {
      const auto* row = static_cast<const std::byte*>(data) + (first + i) * row_pitch * size_of(dtype);
      const int64_t lost = to_stored(dtype, row, width, type, out + i * stored_width);
      if (lost >= 0) {
        throw RequestError(fmt::format("{}: element {} of row {} is beyond the range of {}", name, lost,
                                       first + i, name_of(type)));
      }
    }
  };
  return {std::move(name), type, std::move(shape), std::move(fill)};
}

SafetensorsMetadata default_metadata() {
  return {{"format", "pt"}};
}

void write_safetensors(FileReplacement& file, const std::vector<TensorToWrite>& tensors,
                       const SafetensorsMetadata& metadata) {
  const auto order = in_file_order(file.path(), tensors);
  const SafetensorsHeader header = header_of(file.path(), order, metadata);
  const std::string text = header_text(file.path(), header);
  const uint64_t header_bytes = text.size();
  file.write(&header_bytes, sizeof header_bytes);
  file.write(text.data(), text.size());
  for_each_piece(order, header,
                 [&](std::span<const std::byte> piece) { file.write(piece.data(), piece.size()); });
}

void read_pieces(const std::vector<TensorToWrite>& tensors,
                 const std::function<void(std::span<const std::byte>)>& piece) {
  const auto order = in_file_order("", tensors);
  for_each_piece(order, header_of("", order, {}), piece);
}

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const SafetensorsMetadata& metadata) {
  FileReplacement file(path);
  write_safetensors(file, tensors, metadata);
  file.commit();
}

}  // namespace lethe
