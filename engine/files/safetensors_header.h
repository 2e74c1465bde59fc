// The JSON header of a safetensors file: what each tensor is and where its bytes lie.
// Format: https://github.com/huggingface/safetensors (README, "Format").
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/stored_type.h"
#include "engine/tensor.h"

namespace lethe {

// The format's own limit on the header's length.
constexpr uint64_t max_header_bytes = 100'000'000;

using SafetensorsMetadata = std::map<std::string, std::string>;

// Seen as rows() rows of width() elements, as TensorInfo is: the rows are all dimensions but the last.
struct SafetensorsEntry {
  std::string name;
  StoredType type = StoredType::f32;
  Shape shape;
  uint64_t begin = 0, end = 0;  // bytes, from the start of the data

  int64_t width() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const;
  int64_t elements() const { return rows() * width(); }
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in order of their bytes
  SafetensorsMetadata metadata;
};

// Bytes of a tensor; throws FormatError naming file and tensor if a dimension is negative, the count of
// elements or of bits passes 63 bits, or the bits are no whole bytes.
uint64_t tensor_bytes(const std::string& file, const std::string& name, StoredType type, const Shape& shape);

// Checks all the format asks for: known types, whole numbers, sizes that agree with the shapes, bytes without
// holes or overlaps that end with the file's `data_bytes`. Throws FormatError naming file and tensor.
SafetensorsHeader parse_header(const std::string& file, std::string_view text, uint64_t data_bytes);

// The header's text, metadata first, entries in the order given, padded with spaces to a multiple of 8 bytes.
// Throws FormatError if it is longer than the format allows or a name is not UTF-8.
std::string header_text(const std::string& file, const SafetensorsHeader& header);

}  // namespace lethe
