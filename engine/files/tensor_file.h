// A file of named tensors, whatever its format.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

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

class TensorFile {
 public:
  virtual ~TensorFile() = default;

  virtual const std::string& path() const = 0;
  virtual const std::vector<SafetensorsEntry>& entries() const = 0;
  virtual const SafetensorsMetadata& metadata() const = 0;

  // What the file holds for a tensor, with no promise of alignment. Of a quantised tensor these are its
  // blocks, not elements of the entry's type.
  virtual std::span<const std::byte> bytes(const SafetensorsEntry& entry) const = 0;

  // Bytes [first, first + count) of a tensor's elements in the entry's type, whole rows of them. Throws
  // IoError if they cannot be read.
  virtual void read_bytes(const SafetensorsEntry& entry, int64_t first, int64_t count,
                          std::byte* to) const = 0;

  // Copies rows into memory, rounding once to nearest, ties to even, where the target is narrower. Throws
  // FormatError if there is no such tensor, its type cannot become the target's, a finite value would become
  // infinite, or the rows asked for are not there.
  virtual void read(std::string_view name, const RowTarget& target, RowRange rows = {}) const = 0;
};

}  // namespace lethe
