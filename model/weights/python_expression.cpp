#include "model/weights/python_expression.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <string_view>

#include "engine/error.h"

namespace lethe {
namespace {

// Far beyond what a module's name of some 50 characters needs; a hostile expression ends here.
constexpr uint32_t kMostSteps = 1'000'000;

[[noreturn]] void refuse(const std::string& pattern, const std::string& what) {
  throw RequestError(fmt::format("the regular expression '{}' {}", pattern, what));
}

// Letters that Python's re knows behind a backslash with the same meaning as PCRE2's: the Python
// documentation of `re`, "Regular Expression Syntax".
constexpr std::string_view kSharedEscapes = "AbBdDsSwWafnrtx";

void refuse_what_differs(const std::string& pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view rest = std::string_view(pattern).substr(i);
    if (rest[0] == '\\') {
      if (rest.size() < 2) refuse(pattern, "ends with a lone backslash");
      const char c = rest[1];
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (letter && kSharedEscapes.find(c) == std::string_view::npos) {
        refuse(pattern, fmt::format("holds \\{} at {}, which is not supported", c, i));
      }
      ++i;
      continue;
    }
    for (const std::string_view other : {"(?R", "(?&", "(?|", "(?+", "(*", "(?C", "[:", "(?P>"}) {
      if (rest.starts_with(other)) {
        refuse(pattern, fmt::format("holds {} at {}, which is not Python's", other, i));
      }
    }
    const bool numbered = rest.size() > 2 && rest.starts_with("(?") && rest[2] >= '0' && rest[2] <= '9';
    if (numbered) refuse(pattern, fmt::format("holds (?{} at {}, which is not Python's", rest[2], i));
  }
}

}  // namespace

PythonExpression::PythonExpression(const std::string& pattern) : pattern_(pattern) {
  refuse_what_differs(pattern);
  int error = 0;
  PCRE2_SIZE place = 0;
  pcre2_code* code = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_MATCH_UNSET_BACKREF, &error, &place, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR text[256];
    pcre2_get_error_message(error, text, sizeof text);
    refuse(pattern, fmt::format("cannot be compiled: {} at {}", reinterpret_cast<const char*>(text), place));
  }
  code_ = std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
}

bool PythonExpression::match(const std::string& text, bool whole, std::string* found) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  const std::unique_ptr<pcre2_match_context, void (*)(pcre2_match_context*)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMostSteps);
  const uint32_t options = PCRE2_ANCHORED | (whole ? PCRE2_ENDANCHORED : 0);
  const int groups = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, options,
                                 data.get(), context.get());
  if (groups == PCRE2_ERROR_NOMATCH) return false;
  if (groups < 0) refuse(pattern_, fmt::format("takes too many steps on '{}'", text));
  if (found != nullptr) {
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    const int group = groups > 1 ? 1 : 0;
    *found = text.substr(ends[2 * group], ends[2 * group + 1] - ends[2 * group]);
  }
  return true;
}

bool PythonExpression::matches_all(const std::string& text) const {
  return match(text, true, nullptr);
}

bool PythonExpression::matches_start(const std::string& text, std::string* found) const {
  return match(text, false, found);
}

}  // namespace lethe
