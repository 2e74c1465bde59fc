// Reading a safetensors file.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/files/mapped_file.h"
#include "engine/files/tensor_file.h"

namespace lethe {

class SafetensorsFile final : public TensorFile {
 public:
  // Maps the file and checks its header against its size (see parse_header); no tensor's values are looked
  // at. Throws FormatError naming the file, the tensor and the numbers.
  explicit SafetensorsFile(std::string path);

  const std::string& path() const override { return path_; }
  const std::vector<SafetensorsEntry>& entries() const override { return header_.entries; }
  const SafetensorsMetadata& metadata() const override { return header_.metadata; }

  // The entry of a name, or null.
  const SafetensorsEntry* find(std::string_view name) const;
  // The entry of a name; throws FormatError if there is none.
  const SafetensorsEntry& require(std::string_view name) const;

  // The tensor as stored: little-endian, row-major, with no promise of alignment.
  std::span<const std::byte> bytes(const SafetensorsEntry& entry) const override;

  // From several threads if need be.
  void read_bytes(const SafetensorsEntry& entry, int64_t first, int64_t count, std::byte* to) const override;
  void read(std::string_view name, const RowTarget& target, RowRange rows = {}) const override;

 private:
  std::string path_;
  MappedFile mapped_;
  uint64_t data_start_ = 0;
  SafetensorsHeader header_;
  std::unordered_map<std::string_view, size_t> index_;
};

}  // namespace lethe
