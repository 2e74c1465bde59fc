#include "data/tokenizer/utf8.h"

#include <utf8.h>

#include <algorithm>
#include <iterator>

namespace lethe {
namespace {

// How many bytes from `begin` on could still become a sequence (table 3-7 of the Unicode standard); at least
// one.
size_t broken_length(std::string_view bytes, size_t begin) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned first = byte(begin);
  size_t length = 1;
  if (first >= 0xC2 && first <= 0xDF) length = 2;
  if (first >= 0xE0 && first <= 0xEF) length = 3;
  if (first >= 0xF0 && first <= 0xF4) length = 4;
  const unsigned least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  size_t end = begin + 1;
  for (; end < std::min(begin + length, bytes.size()); ++end) {
    const bool second = end == begin + 1;
    if (byte(end) < (second ? least : 0x80u) || byte(end) > (second ? most : 0xBFu)) break;
  }
  return end - begin;
}

}  // namespace

void append_code_point(char32_t value, std::string& text) {
  utf8::append(static_cast<uint32_t>(value), std::back_inserter(text));
}

std::string lossy_utf8(std::string_view bytes) {
  std::string text;
  for (size_t begin = 0; begin < bytes.size();) {
    const auto* wrong = utf8::find_invalid(bytes.begin() + begin, bytes.end());
    const auto end = static_cast<size_t>(wrong - bytes.begin());
    text += bytes.substr(begin, end - begin);
    if (end == bytes.size()) break;
    text += "\xEF\xBF\xBD";
    begin = end + broken_length(bytes, end);
  }
  return text;
}

}  // namespace lethe
