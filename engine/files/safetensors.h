// Reading a safetensors file.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/files/mapped_file.h"
#include "engine/files/safetensors_header.h"

namespace lethe {

// Where the rows of a tensor go: element (i, j) to data[i * pitch + j].
struct RowTarget {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t pitch = 0;  // elements, at least the tensor's width; 0: the width
};

// Which rows of a tensor.
struct RowRange {
  int64_t first = 0;
  int64_t count = -1;  // -1: to the last
};

class SafetensorsFile {
 public:
  // Maps the file and checks its header against its size (see parse_header); no tensor's values are looked
  // at. Throws FormatError naming the file, the tensor and the numbers.
  explicit SafetensorsFile(std::string path);

  const std::string& path() const { return path_; }
  const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }
  const SafetensorsMetadata& metadata() const { return header_.metadata; }

  // The entry of a name, or null.
  const SafetensorsEntry* find(std::string_view name) const;
  // The entry of a name; throws FormatError if there is none.
  const SafetensorsEntry& require(std::string_view name) const;

  // The tensor as stored: little-endian, row-major, with no promise of alignment.
  std::span<const std::byte> bytes(const SafetensorsEntry& entry) const;

  // Copies stored bytes [first, first + count) of a tensor into memory, from several threads if need be.
  // Throws IoError if they cannot be read.
  void read_bytes(const SafetensorsEntry& entry, int64_t first, int64_t count, std::byte* to) const;

  // Copies rows into memory, rounding once to nearest, ties to even, where the target is narrower. Throws
  // FormatError if there is no such tensor, its type cannot become the target's, a finite value would become
  // infinite, or the rows asked for are not there.
  void read(std::string_view name, const RowTarget& target, RowRange rows = {}) const;

 private:
  std::string path_;
  MappedFile mapped_;
  uint64_t data_start_ = 0;
  SafetensorsHeader header_;
  std::unordered_map<std::string_view, size_t> index_;
};

}  // namespace lethe
