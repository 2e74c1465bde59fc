// Text as Python's str methods see it, where the harnesses depend on it. All text is UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lethe::eval {

// What strip() takes off: U+0009-000D, U+001C-001F and Unicode's White_Space.
bool is_python_space(char32_t c);

std::string_view strip(std::string_view text);
std::string_view rstrip(std::string_view text);
std::string_view lstrip(std::string_view text);

// len(text): code points.
int64_t code_points(std::string_view text);

// The first character in title case, all others in lower case, with Unicode's full mappings: one character
// may become several, and a sigma at the end of a word is another than within.
std::string capitalize(std::string_view text);

// Every `from` replaced, left to right, without overlap.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

}  // namespace lethe::eval
