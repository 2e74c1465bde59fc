// GPT-2's way to write bytes as visible characters: a printable byte of Latin-1 is itself, the others are
// U+0100 and on.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lethe {

// The characters of bytes.
std::string to_byte_level(std::string_view bytes);
// The bytes of such characters; nothing when the text has a character that stands for no byte.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace lethe
