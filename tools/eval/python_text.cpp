#include "tools/eval/python_text.h"

#include <unicode/brkiter.h>
#include <unicode/unistr.h>

#include "data/tokenizer/characters.h"
#include "data/tokenizer/utf8.h"

namespace lethe::eval {

bool is_python_space(char32_t c) {
  return is_white_space(c) || (c >= 0x1C && c <= 0x1F);
}

std::string_view rstrip(std::string_view text) {
  while (!text.empty()) {
    const CodePoint last = code_point_before(text, text.size());
    if (!is_python_space(last.value)) break;
    text.remove_suffix(last.bytes);
  }
  return text;
}

std::string_view lstrip(std::string_view text) {
  while (!text.empty()) {
    const CodePoint first = code_point_at(text, 0);
    if (!is_python_space(first.value)) break;
    text.remove_prefix(first.bytes);
  }
  return text;
}

std::string_view strip(std::string_view text) {
  return lstrip(rstrip(text));
}

int64_t code_points(std::string_view text) {
  int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0u) != 0x80u ? 1 : 0;
  return count;
}

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  const auto whole = icu::UnicodeString::fromUTF8({text.data(), static_cast<int32_t>(text.size())});
  const icu::Locale& locale = icu::Locale::getRoot();
  icu::UnicodeString title(whole.char32At(0)), first = title, lower = whole;
  // The rest is lowered with the first in front of it: whether a sigma is final depends on what precedes.
  first.toLower(locale);
  lower.toLower(locale);
  title.toTitle(nullptr, locale, U_TITLECASE_NO_LOWERCASE | U_TITLECASE_NO_BREAK_ADJUSTMENT);
  lower.replace(0, first.length(), title);
  std::string made;
  return lower.toUTF8String(made);
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string made;
  for (size_t at = 0;;) {
    const size_t found = text.find(from, at);
    made += text.substr(at, found - at);
    if (found == text.npos) return made;
    made += to;
    at = found + from.size();
  }
}

}  // namespace lethe::eval
