#include "data/text_file.h"

#include <fmt/format.h>
#include <utf8.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "engine/error.h"

namespace lethe {

TextFile::TextFile(const std::string& path) : path_(path), buffer_(size_t{1} << 18) {
  errno = 0;
  file_ = gzopen(path.c_str(), "rb");
  if (file_ == nullptr) {
    throw IoError(path, fmt::format("cannot be opened: {}", std::strerror(errno == 0 ? ENOMEM : errno)));
  }
}

TextFile::~TextFile() {
  gzclose_r(file_);
}

bool TextFile::refill() {
  const int got = gzread(file_, buffer_.data(), static_cast<unsigned>(buffer_.size()));
  int status = Z_OK;
  const char* message = gzerror(file_, &status);
  if (status == Z_ERRNO) {
    throw IoError(path_, fmt::format("cannot be read: {}", std::strerror(errno)));
  }
  // Z_BUF_ERROR at the end means that the gzip stream stops before its trailer.
  if (got < 0 || status == Z_BUF_ERROR || status == Z_DATA_ERROR) {
    throw FormatError(path_, line_ == 0 ? "" : "after " + at_line(line_),
                      fmt::format("broken or truncated gzip data ({})", message));
  }
  begin_ = 0;
  end_ = static_cast<size_t>(got);
  return got > 0;
}

bool TextFile::append_line(std::string& text) {
  const size_t start = text.size();
  while (true) {
    if (begin_ == end_ && !refill()) break;
    const char* from = buffer_.data() + begin_;
    const void* newline = std::memchr(from, '\n', end_ - begin_);
    const size_t length = newline == nullptr
                              ? end_ - begin_
                              : static_cast<size_t>(static_cast<const char*>(newline) - from) + 1;
    text.append(from, length);
    begin_ += length;
    if (newline != nullptr) break;
  }
  if (text.size() == start) return false;
  ++line_;
  require_utf8(std::string_view(text).substr(start), path_, line_);
  return true;
}

std::string at_line(int64_t line) {
  return fmt::format("line {}", line);
}

void require_utf8(std::string_view text, const std::string& path, int64_t line) {
  const auto bad = utf8::find_invalid(text.begin(), text.end());
  if (bad == text.end()) return;
  throw FormatError(path, at_line(line),
                    fmt::format("not valid UTF-8: byte {} of the line is 0x{:02x}", bad - text.begin() + 1,
                                static_cast<unsigned>(static_cast<unsigned char>(*bad))));
}

}  // namespace lethe
