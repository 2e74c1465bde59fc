// Tokens as they come, turned into text that is certain.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "data/tokenizer.h"

namespace lethe {

class TextStream {
 public:
  // The text that follows `prompt`, whose last tokens are decoded with it: a first piece's space belongs to
  // the text. stops: the text ends before the first of them. The tokenizer must outlive this.
  TextStream(const Tokenizer& tokenizer, std::span<const int32_t> prompt,
             std::vector<std::string> stops = {});

  // Takes a token and returns what can be shown of it: no character of which bytes are missing, and nothing
  // that might be the beginning of a stop.
  std::string add(int32_t id);
  // What was held back, once no token follows.
  std::string finish();

  bool stopped() const { return stopped_; }
  const std::string& text() const { return text_; }  // all there is, up to a stop

 private:
  std::string show(size_t end);

  const Tokenizer* tokenizer_;
  std::vector<int32_t> ids_;  // of the prompt's end and the text
  size_t before_ = 0;         // bytes of the decoded prompt's end
  std::vector<std::string> stops_;
  std::string text_;
  size_t shown_ = 0;
  bool stopped_ = false;
};

}  // namespace lethe
