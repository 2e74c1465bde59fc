#include "data/text_file.h"

#include <fmt/format.h>
#include <utf8.h>

#include <cstring>

#include "engine/error.h"

namespace lethe {

TextFile::TextFile(const std::string& path)
    : path_(path), file_(open_bytes(path)), buffer_(size_t{1} << 18) {}

bool TextFile::refill() {
  try {
    begin_ = 0;
    end_ = file_->read(buffer_.data(), buffer_.size());
  } catch (const FormatError& error) {
    if (line_ == 0) throw;
    throw FormatError(path_, "after " + at_line(line_),
                      std::string(error.what()).substr(path_.size() + 2));  // without "PATH: "
  }
  return end_ > 0;
}

bool TextFile::append_line(std::string& text, size_t most) {
  const size_t start = text.size();
  while (true) {
    if (begin_ == end_ && !refill()) break;
    const char* from = buffer_.data() + begin_;
    const void* newline = std::memchr(from, '\n', end_ - begin_);
    const size_t length = newline == nullptr
                              ? end_ - begin_
                              : static_cast<size_t>(static_cast<const char*>(newline) - from) + 1;
    if (text.size() - start + length > most) {
      throw FormatError(path_, at_line(line_ + 1), fmt::format("longer than {} bytes", most));
    }
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
