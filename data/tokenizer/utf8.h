// Code points of text that is known to be UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lethe {

struct CodePoint {
  char32_t value = 0;
  size_t bytes = 0;
};

// The one that begins at `begin`, which must be inside the text.
inline CodePoint code_point_at(std::string_view text, size_t begin) {
  const auto byte = [&](size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[begin + i]));
  };
  const char32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1Fu) << 6 | (byte(1) & 0x3Fu), 2};
  if (first < 0xF0) return {(first & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu), 3};
  return {(first & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu), 4};
}

// The one that ends at `end`, which must be above 0.
inline CodePoint code_point_before(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0u) == 0x80u) --begin;
  return code_point_at(text, begin);
}

// How long a text may become on its way through a tokenizer. No sane one comes near it; a hostile file could
// else double a text again and again.
inline size_t longest_result(size_t bytes) {
  return 64 * bytes + (size_t{1} << 16);
}

void append_code_point(char32_t value, std::string& text);

// Bytes of any kind as UTF-8: each longest piece that begins a sequence and breaks off becomes one U+FFFD.
std::string lossy_utf8(std::string_view bytes);

}  // namespace lethe
