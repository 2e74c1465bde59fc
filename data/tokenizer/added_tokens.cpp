#include "data/tokenizer/added_tokens.h"

#include "data/tokenizer/characters.h"
#include "data/tokenizer/utf8.h"

namespace lethe {

void AddedTokenFinder::add(const AddedToken& token, std::string_view content) {
  matcher_.add(content, static_cast<int32_t>(tokens_.size()));
  tokens_.push_back(token);
}

bool AddedTokenFinder::touches_word(std::string_view text, const Match& match) {
  return (match.begin > 0 && is_word(code_point_before(text, match.begin).value)) ||
         (match.end < text.size() && is_word(code_point_at(text, match.end).value));
}

size_t AddedTokenFinder::begin_of_space(std::string_view text, size_t end) {
  while (end > 0) {
    const CodePoint c = code_point_before(text, end);
    if (!is_white_space(c.value)) break;
    end -= c.bytes;
  }
  return end;
}

size_t AddedTokenFinder::end_of_space(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    const CodePoint c = code_point_at(text, begin);
    if (!is_white_space(c.value)) break;
    begin += c.bytes;
  }
  return begin;
}

}  // namespace lethe
