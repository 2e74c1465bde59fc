// A text file read from front to back, a line at a time; gzip, xz and zstd are undone on the way.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/byte_source.h"

namespace lethe {

class TextFile {
 public:
  // Plain or compressed, told apart by the bytes. Throws IoError when it cannot be opened.
  explicit TextFile(const std::string& path);

  // Appends the next line, its "\n" included ("\r" is text like any other), to `text`; false at the end of
  // the file. Throws FormatError on bytes that are not UTF-8 (file, line), on a line longer than `most` bytes
  // (so that a file which unpacks without end cannot fill the memory), and on broken compressed data.
  bool append_line(std::string& text, size_t most = std::numeric_limits<size_t>::max());

  // The line read last, from 1; 0 before the first.
  int64_t line() const { return line_; }

 private:
  bool refill();

  std::string path_;
  std::unique_ptr<ByteSource> file_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;
  int64_t line_ = 0;
};

// "line 7": where in a file, as FormatError takes it.
std::string at_line(int64_t line);

// Throws FormatError naming file, line and byte when `text`, which begins at `line` of `path`, is not UTF-8.
void require_utf8(std::string_view text, const std::string& path, int64_t line);

}  // namespace lethe
