#include "data/tokenizer/pattern.h"

#include "engine/error.h"

namespace lethe {

Pattern::Pattern(const JsonPlace& place) {
  const auto text = place.find("String"), expression = place.find("Regex");
  if (text.has_value() == expression.has_value()) place.refuse("must be a String or a Regex");
  if (text) {
    string_ = text->string();
    return;
  }
  try {
    regex_.emplace(expression->string());
  } catch (const DataError& error) {
    expression->refuse(error.what());
  }
}

std::string Pattern::replace_all(std::string_view text, std::string_view content) const {
  std::string result;
  size_t done = 0;
  find_all(text, [&](size_t begin, size_t end) {
    result.append(text.substr(done, begin - done)).append(content);
    done = end;
  });
  return result.append(text.substr(done));
}

}  // namespace lethe
