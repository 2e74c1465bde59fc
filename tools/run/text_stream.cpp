#include "tools/run/text_stream.h"

#include <algorithm>

namespace lethe {
namespace {

constexpr size_t kContext = 8;  // tokens of the prompt, enough that no character is cut at their beginning
const std::string kReplacement = "\xEF\xBF\xBD";  // what bytes that are no character yet are decoded to

// The end of `text` that may yet change: a character of four bytes is three replacements while one is
// missing.
size_t certain(std::string_view text) {
  size_t end = text.size();
  for (int i = 0; i < 3 && text.substr(0, end).ends_with(kReplacement); ++i) end -= kReplacement.size();
  return end;
}

// Where `text` ends with the longest beginning of `stop`.
size_t before_beginning(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size()); n > 0; --n) {
    if (text.ends_with(stop.substr(0, n))) return text.size() - n;
  }
  return text.size();
}

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                       std::vector<std::string> stops)
    : tokenizer_(&tokenizer), stops_(std::move(stops)) {
  const std::span<const int32_t> end = prompt.last(std::min(prompt.size(), kContext));
  ids_.assign(end.begin(), end.end());
  before_ = tokenizer.decode(ids_).size();
  std::erase(stops_, "");
}

std::string TextStream::show(size_t end) {
  if (end <= shown_) return "";
  const std::string shown = text_.substr(shown_, end - shown_);
  shown_ = end;
  return shown;
}

std::string TextStream::add(int32_t id) {
  if (stopped_) return "";
  ids_.push_back(id);
  const std::string all = tokenizer_->decode(ids_);
  text_ = all.size() > before_ ? all.substr(before_) : "";
  size_t first = std::string::npos, end = certain(text_);
  for (const std::string& stop : stops_) {
    first = std::min(first, text_.find(stop));
    end = std::min(end, before_beginning(text_, stop));
  }
  if (first == std::string::npos) return show(end);
  stopped_ = true;
  text_.resize(first);
  return show(first);
}

std::string TextStream::finish() {
  return show(text_.size());
}

}  // namespace lethe
