#include "tools/eval/gsm8k_answer.h"

#include <algorithm>
#include <cctype>

#include "tools/eval/python_text.h"

namespace lethe::eval {
namespace {

constexpr std::string_view kInvalid = "[invalid]";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Length of `-?[0-9.,]+` at the beginning of `text`, 0 if it does not match.
size_t number_at(std::string_view text) {
  const size_t sign = text.starts_with('-') ? 1 : 0;
  size_t end = sign;
  while (end < text.size() && (is_digit(text[end]) || text[end] == '.' || text[end] == ',')) ++end;
  return end > sign ? end : 0;
}

std::string stripped(std::string_view answer) {
  return std::string(strip(answer));
}

}  // namespace

std::string strict_answer(std::string_view text) {
  constexpr std::string_view mark = "#### ";
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + 1)) {
    const std::string_view rest = text.substr(at + mark.size());
    if (const size_t length = number_at(rest); length > 0) return stripped(rest.substr(0, length));
  }
  return std::string(kInvalid);
}

std::string strict_spoken_answer(std::string_view text) {
  constexpr std::string_view mark = "The answer is ";
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + 1)) {
    const std::string_view rest = text.substr(at + mark.size());
    size_t length = number_at(rest);
    if (length == 0) continue;
    // One character that is no line's end must follow; the number gives up its last one for it.
    if (length == rest.size() || rest[length] == '\n') --length;
    if (length > (rest.starts_with('-') ? 1u : 0u)) return stripped(rest.substr(0, length));
  }
  return std::string(kInvalid);
}

std::string flexible_answer(std::string_view text) {
  std::string_view last = kInvalid;
  for (size_t at = 0; at < text.size();) {
    const size_t sign = text[at] == '-' ? 1 : 0;
    size_t end = at + sign;
    while (end < text.size() &&
           (is_digit(text[end]) || text[end] == '$' || text[end] == '.' || text[end] == ','))
      ++end;
    size_t length = end - at - sign >= 2 ? end - at : 0;
    if (length == 0) {
      end = at + sign;
      while (end < text.size() && is_digit(text[end])) ++end;
      length = end > at + sign ? end - at : 0;
    }
    if (length > 0) last = text.substr(at, length);
    at += std::max<size_t>(length, 1);
  }
  return stripped(last);
}

std::string comparable_with_full_stop(std::string_view answer) {
  std::string text(answer);
  std::erase(text, ',');
  std::erase(text, '$');
  constexpr std::string_view mark = "#### ";
  if (const size_t at = text.rfind(mark); at != text.npos) text.erase(0, at + mark.size());
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string comparable(std::string_view answer) {
  std::string text = comparable_with_full_stop(answer);
  // `$` also matches before one line's end that ends the text.
  if (text.ends_with('.')) {
    text.pop_back();
  } else if (text.ends_with(".\n")) {
    text.erase(text.size() - 2, 1);
  }
  return text;
}

}  // namespace lethe::eval
