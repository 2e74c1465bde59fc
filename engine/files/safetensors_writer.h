// Writing a safetensors file without holding a second copy of the tensors.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/files/file_replacement.h"
#include "engine/files/safetensors_header.h"

namespace lethe {

struct TensorToWrite {
  std::string name;
  StoredType type = StoredType::f32;
  Shape shape;
  // Puts rows [first, first + count), in the stored type and without gaps, at `out`. Called in order, some
  // MiB at a time. A scalar is one row of one element, a vector one row.
  std::function<void(int64_t first, int64_t count, std::byte* out)> fill;
};

// A tensor in memory: rows `pitch` elements apart (0: the width). The memory must live until it is written.
// Where `type` is narrower, writing rounds to nearest, ties to even, and throws RequestError naming tensor
// and element if a finite value would become infinite. Throws ShapeError if `type` cannot hold `dtype`.
TensorToWrite tensor_to_write(std::string name, StoredType type, Shape shape, const void* data, DType dtype,
                              int64_t pitch = 0);

// What Hugging Face's loaders expect to find in every file.
SafetensorsMetadata default_metadata();

// The tensors by dtype from the widest down, then by name. Two calls with the same tensors write the same
// bytes. Throws RequestError for a name given twice or reserved, IoError if the system refuses; the file that
// was there is then whole.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const SafetensorsMetadata& metadata = default_metadata());

// Reads the tensors as write_safetensors does, in its order and pieces of some MiB, and hands them on.
void read_pieces(const std::vector<TensorToWrite>& tensors,
                 const std::function<void(std::span<const std::byte>)>& piece);

// The same into a file that the caller commits.
void write_safetensors(FileReplacement& file, const std::vector<TensorToWrite>& tensors,
                       const SafetensorsMetadata& metadata = default_metadata());

}  // namespace lethe
