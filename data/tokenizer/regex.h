// Regular expressions of tokenizer.json, which are Oniguruma's, run by PCRE2.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace lethe {

// The same expression as PCRE2 writes it. Throws DataError naming what the two understand differently and is
// not translated (anchors, look-behind, \b, \h, \R, \X, nested classes, ...).
std::string to_pcre2(std::string_view oniguruma);

class Regex {
 public:
  // Throws DataError when it cannot be translated or compiled.
  explicit Regex(const std::string& oniguruma);

  // Calls `found` with begin and end, in bytes, of each match from left to right; an empty match right after
  // another is passed over. The text must be UTF-8. Safe from several threads. Throws DataError when a match
  // takes more steps than a sane expression needs.
  template <class Found>
  void find_all(std::string_view text, Found&& found) const {
    size_t from = 0, last_end = std::string_view::npos;
    for (size_t begin = 0, end = 0; from <= text.size() && find(text, from, begin, end);) {
      if (begin == end && end == last_end) {
        from = after_character(text, from);
        continue;
      }
      found(begin, end);
      from = last_end = end;
    }
  }

 private:
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end) const;
  static size_t after_character(std::string_view text, size_t at);

  std::string source_;
  std::shared_ptr<void> code_;
};

}  // namespace lethe
