// The "pre_tokenizer" of tokenizer.json: cuts text into the words that merges stay inside.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/json.h"
#include "data/tokenizer/utf8.h"
#include "engine/error.h"

namespace lethe {

// A text and its pieces, in order and never empty.
class Words {
 public:
  struct Span {
    size_t begin, end;  // bytes of text()
  };

  // `at_start`: the text is the beginning of all that is encoded. The text must outlive this.
  Words(std::string_view text, bool at_start)
      : text_(text), longest_(longest_result(text.size())), at_start_(at_start) {
    if (!text.empty()) spans_.push_back({0, text.size()});
  }

  std::string_view text() const { return text_; }
  bool at_start() const { return at_start_; }
  const std::vector<Span>& spans() const { return spans_; }
  std::string_view word(const Span& span) const { return text_.substr(span.begin, span.end - span.begin); }

  // The same text, cut otherwise.
  void set_spans(std::vector<Span> spans) { spans_ = std::move(spans); }
  // Another text. Throws DataError when it is far longer than the first one.
  void set_text(std::string text, std::vector<Span> spans) {
    if (text.size() > longest_) throw DataError("pre-tokenizers make the text too long");
    changed_ = std::move(text);
    text_ = changed_;
    spans_ = std::move(spans);
  }
  Words(const Words&) = delete;
  Words& operator=(const Words&) = delete;

 private:
  std::string_view text_;
  std::string changed_;
  size_t longest_;
  bool at_start_;
  std::vector<Span> spans_;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Words& words) const = 0;
};

struct PreTokenization {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  // The last step was ByteLevel: words are bytes where the file's vocabulary has characters for them.
  bool bytes = false;
};

// Cuts before each U+2581 that follows another character; see BpeOptions::cuts_at_marks.
std::unique_ptr<PreTokenizer> make_mark_cut();

// Throws FormatError for a type or behaviour that is not implemented.
PreTokenization make_pre_tokenization(const JsonPlace& place);

}  // namespace lethe
