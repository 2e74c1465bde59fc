// The bytes of a file from front to back, with gzip, xz and zstd undone on the way.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace lethe {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Up to `size` next bytes; 0 at the end of the file. Memory stays bounded however far the data unpack.
  // Throws FormatError on broken or truncated compressed data, IoError when the file cannot be read.
  virtual size_t read(char* out, size_t size) = 0;
};

// The compression is told by the file's first bytes, not by its name. Throws IoError when it cannot be
// opened.
std::unique_ptr<ByteSource> open_bytes(const std::string& path);

// A path without the ending of a compression: "a.jsonl.xz" -> "a.jsonl".
std::string without_compression(const std::string& path);

}  // namespace lethe
