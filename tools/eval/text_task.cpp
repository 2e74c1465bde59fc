#include "tools/eval/text_task.h"

#include "data/tokenizer/utf8.h"
#include "tools/eval/python_text.h"

namespace lethe::eval {

double count_words(const std::string& text) {
  double pieces = 1;
  bool in_space = false;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    const bool space = is_python_space(c.value);
    pieces += space && !in_space ? 1 : 0;
    in_space = space;
    i += c.bytes;
  }
  return pieces;
}

ScoredText scored_text(const TextTask& task, const std::string& page) {
  return {task.readable ? task.readable(page) : page, count_words(page), static_cast<double>(page.size())};
}

}  // namespace lethe::eval
