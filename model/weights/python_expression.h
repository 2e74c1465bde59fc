// Regular expressions of Python's `re`, as PEFT's configurations hold them, run by PCRE2.
#pragma once

#include <memory>
#include <string>

namespace lethe {

class PythonExpression {
 public:
  // Throws RequestError, naming the expression and the place, for what PCRE2 cannot compile and for what the
  // two understand differently or only one knows: \Z, \Q..\E, \K, \h, \R, \X, \p, \g, recursion, verbs,
  // [:classes:].
  explicit PythonExpression(const std::string& pattern);

  // As re.fullmatch: the whole of the text.
  bool matches_all(const std::string& text) const;
  // As re.match: from the text's first character on. Returns the text of group 1, or of the whole match where
  // there is no such group, in `found`.
  bool matches_start(const std::string& text, std::string* found = nullptr) const;

 private:
  bool match(const std::string& text, bool whole, std::string* found) const;

  std::string pattern_;
  std::shared_ptr<void> code_;
};

}  // namespace lethe
