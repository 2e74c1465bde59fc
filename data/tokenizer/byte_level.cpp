#include "data/tokenizer/byte_level.h"

#include <array>

#include "data/tokenizer/utf8.h"

namespace lethe {
namespace {

struct Table {
  std::array<char32_t, 256> character{};
  std::array<int, 0x144> byte{};  // -1: none

  Table() {
    byte.fill(-1);
    char32_t next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      const bool itself = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      character[b] = itself ? static_cast<char32_t>(b) : next++;
      byte[character[b]] = static_cast<int>(b);
    }
  }
};

const Table table;

}  // namespace

std::string to_byte_level(std::string_view bytes) {
  std::string text;
  for (const char b : bytes) append_code_point(table.character[static_cast<unsigned char>(b)], text);
  return text;
}

std::optional<std::string> from_byte_level(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    i += c.bytes;
    if (c.value >= table.byte.size() || table.byte[c.value] < 0) return {};
    bytes.push_back(static_cast<char>(table.byte[c.value]));
  }
  return bytes;
}

}  // namespace lethe
