// Reading a GGUF file (https://github.com/ggml-org/ggml, docs/gguf.md), versions 2 and 3.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/files/ggml_blocks.h"
#include "engine/files/mapped_file.h"
#include "engine/tensor.h"

namespace lethe {

struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::f32;
  Shape shape;                  // outermost first: a linear map is [outputs, inputs]
  uint64_t begin = 0, end = 0;  // bytes of the file
};

// Numbers as the widest of their kind.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

class GgufFile {
 public:
  // Maps the file and checks everything but the tensors' values: lengths and counts against the file's size
  // before anything is allocated for them, types, names given twice, tensors back to back within the file.
  // Throws FormatError naming the file, the key or tensor and the numbers.
  explicit GgufFile(const std::string& path);

  const std::string& path() const { return path_; }
  const std::map<std::string, GgufValue>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  std::span<const std::byte> bytes(const GgufTensor& tensor) const {
    return {mapped_.data() + tensor.begin, tensor.end - tensor.begin};
  }

  // The value of a key, absent if there is none; throws FormatError if it is of another kind.
  std::optional<int64_t> integer(const std::string& key) const;
  std::optional<double> real(const std::string& key) const;
  std::optional<bool> flag(const std::string& key) const;
  std::optional<std::string> text(const std::string& key) const;
  std::vector<std::string> texts(const std::string& key) const;  // empty if there is none
  std::vector<int64_t> integers(const std::string& key) const;
  std::vector<double> reals(const std::string& key) const;
  // An integer, or the same one for every layer.
  std::optional<int64_t> same_integer(const std::string& key) const;

 private:
  template <class T>
  const T* value(const std::string& key, const char* kind) const;

  std::string path_;
  MappedFile mapped_;
  std::map<std::string, GgufValue> metadata_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace lethe
