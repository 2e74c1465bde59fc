// What a Replace or a Split looks for: {"String": ...} or {"Regex": ...}.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/tokenizer/json.h"
#include "data/tokenizer/regex.h"

namespace lethe {

class Pattern {
 public:
  // Throws FormatError.
  explicit Pattern(const JsonPlace& place);

  // Calls `found` with begin and end of each match from left to right. The empty string is nowhere.
  template <class Found>
  void find_all(std::string_view text, Found&& found) const {
    if (regex_) return regex_->find_all(text, found);
    if (string_.empty()) return;
    for (size_t at = text.find(string_); at != text.npos; at = text.find(string_, at + string_.size())) {
      found(at, at + string_.size());
    }
  }

  std::string replace_all(std::string_view text, std::string_view content) const;

 private:
  std::optional<Regex> regex_;
  std::string string_;
};

}  // namespace lethe
