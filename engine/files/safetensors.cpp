#include "engine/files/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "engine/files/convert.h"

namespace lethe {

static_assert(std::endian::native == std::endian::little, "safetensors files are read as they lie in memory");

SafetensorsFile::SafetensorsFile(std::string path) : path_(std::move(path)), mapped_(path_) {
  if (mapped_.size() < 8) {
    throw FormatError(path_, "",
                      fmt::format("has {} bytes, a safetensors file has at least 8", mapped_.size()));
  }
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, mapped_.data(), sizeof header_bytes);
  if (header_bytes > max_header_bytes) {
    throw FormatError(
        path_, "",
        fmt::format("claims a header of {} bytes, the format allows {}", header_bytes, max_header_bytes));
  }
  data_start_ = 8 + header_bytes;
  if (data_start_ > mapped_.size()) {
    throw FormatError(path_, "",
                      fmt::format("claims a header of {} bytes, but has {} bytes in all (a truncated file?)",
                                  header_bytes, mapped_.size()));
  }
  const std::string_view text(reinterpret_cast<const char*>(mapped_.data()) + 8, header_bytes);
  header_ = parse_header(path_, text, mapped_.size() - data_start_);
  index_.reserve(header_.entries.size());
  for (size_t i = 0; i < header_.entries.size(); ++i) index_.emplace(header_.entries[i].name, i);
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &header_.entries[found->second];
}

const SafetensorsEntry& SafetensorsFile::require(std::string_view name) const {
  const SafetensorsEntry* entry = find(name);
  if (entry == nullptr) throw FormatError(path_, std::string(name), "there is no such tensor in this file");
  return *entry;
}

std::span<const std::byte> SafetensorsFile::bytes(const SafetensorsEntry& entry) const {
  return {mapped_.data() + data_start_ + entry.begin, entry.end - entry.begin};
}

void SafetensorsFile::read_bytes(const SafetensorsEntry& entry, int64_t first, int64_t count,
                                 std::byte* to) const {
  mapped_.read(data_start_ + entry.begin + static_cast<uint64_t>(first), static_cast<uint64_t>(count), to);
}

void SafetensorsFile::read(std::string_view name, const RowTarget& target, RowRange rows) const {
  const SafetensorsEntry& entry = require(name);
  const int64_t width = entry.width();
  const int64_t count = rows.count < 0 ? entry.rows() - rows.first : rows.count;
  const int64_t pitch = target.pitch == 0 ? width : target.pitch;
  if (rows.first < 0 || count < 0 || rows.first > entry.rows() || count > entry.rows() - rows.first) {
    throw FormatError(path_, entry.name,
                      fmt::format("rows {} to {} asked for, shape {} has {}", rows.first, rows.first + count,
                                  text_of(entry.shape), entry.rows()));
  }
  if (pitch < width)
    throw ShapeError(entry.name, fmt::format("pitch {} is below the width {}", pitch, width));
  if (!convertible(entry.type, target.dtype)) {
    throw FormatError(path_, entry.name,
                      fmt::format("is stored as {}, which cannot be read as {}", name_of(entry.type),
                                  name_of(target.dtype)));
  }
  if (width == 0 || count == 0) return;

  // Rows that lie end to end on both sides are one long row.
  const bool packed = pitch == width;
  const int64_t pieces = packed ? 1 : count;
  const int64_t piece = packed ? count * width : width;
  const int64_t stored_piece = piece * bits_of(entry.type) / 8;
  const std::byte* source = bytes(entry).data() + rows.first * width * bits_of(entry.type) / 8;
  auto* destination = static_cast<std::byte*>(target.data);
  for (int64_t i = 0; i < pieces; ++i) {
    const int64_t lost = from_stored(entry.type, source + i * stored_piece, piece, target.dtype,
                                     destination + i * pitch * size_of(target.dtype));
    if (lost >= 0) {
      throw FormatError(
          path_, entry.name,
          fmt::format("element {} ({}) is beyond the range of {}", rows.first * width + i * piece + lost,
                      name_of(entry.type), name_of(target.dtype)));
    }
  }
}

}  // namespace lethe
