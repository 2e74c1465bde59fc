// WikiText-2 (Merity et al. 2017), article by article, its tokens joined again before they are scored.
#include "tools/eval/python_text.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

// From each `open` to the next `close`, the white space inside its ends taken off.
std::string tightened(const std::string& text, char open, char close) {
  std::string made;
  size_t at = 0;
  for (;;) {
    const size_t begin = text.find(open, at);
    const size_t end = begin == text.npos ? text.npos : text.find(close, begin + 1);
    if (end == text.npos) return made.append(text, at);
    made.append(text, at, begin - at);
    made += open;
    made += strip(std::string_view(text).substr(begin + 1, end - begin - 1));
    made += close;
    at = end + 1;
  }
}

// The harness's rule for `/' 5/` has a pattern where the replacement's text should be, which is then the
// text.
std::string without_apostrophe_rule(std::string text) {
  for (size_t at = 0; (at = text.find("/' ", at)) != text.npos;) {
    const bool is_digit = at + 4 < text.size() && text[at + 3] >= '0' && text[at + 3] <= '9';
    if (is_digit && text[at + 4] == '/') {
      text.replace(at, 5, "/'[0-9]/");
      at += 8;
    } else {
      ++at;
    }
  }
  return text;
}

}  // namespace

std::string wikitext_readable(const std::string& page) {
  std::string text = without_apostrophe_rule(replaced(page, "s '", "s'"));
  for (const auto& [from, to] : {std::pair{" @-@ ", "-"},
                                 {" @,@ ", ","},
                                 {" @.@ ", "."},
                                 {" : ", ": "},
                                 {" ; ", "; "},
                                 {" . ", ". "},
                                 {" ! ", "! "},
                                 {" ? ", "? "},
                                 {" , ", ", "}})
    text = replaced(text, from, to);
  for (const auto& [open, close] : {std::pair{'(', ')'}, {'[', ']'}, {'{', '}'}, {'"', '"'}, {'\'', '\''}})
    text = tightened(text, open, close);
  for (const auto& [from, to] : {std::pair{"= = = =", "===="},
                                 {"= = =", "==="},
                                 {"= =", "=="},
                                 {" \u00b0 ", "\u00b0"},
                                 {" \n", "\n"},
                                 {"\n ", "\n"},
                                 {" N ", " 1 "},
                                 {" 's", "'s"}})
    text = replaced(text, from, to);
  return text;
}

TextTask wikitext() {
  return {.name = "wikitext",
          .purpose = "perplexity of Wikipedia's articles",
          .files = {"wikitext_test.jsonl"},
          .key = "page",
          .readable = wikitext_readable};
}

}  // namespace lethe::eval
