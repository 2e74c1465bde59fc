// The "added_tokens" of tokenizer.json: words that are found in the text before anything else is done to it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/matcher.h"

namespace lethe {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool single_word = false;  // not where a word character precedes or follows
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and after it
  bool normalized = false;   // looked for in normalised text, as its own normalised content
  bool special = false;      // silent in decoding, and plain text unless special tokens are parsed
};

// A stretch of text: one added token, or (id -1) what lies between two.
struct Stretch {
  size_t begin = 0, end = 0;
  int32_t id = -1;
};

// Finds added tokens of one kind (normalized or not). `contents[i]` is looked for as tokens[i].
class AddedTokenFinder {
 public:
  void add(const AddedToken& token, std::string_view content);
  bool empty() const { return matcher_.empty(); }

  // Calls `take` with each stretch, from left to right.
  template <class Take>
  void cut(std::string_view text, bool parse_special, Take&& take) const {
    size_t done = 0;
    if (!matcher_.empty()) {
      for (Match m = matcher_.next(text, 0); m.end > m.begin; m = matcher_.next(text, m.end)) {
        const AddedToken& token = tokens_[m.id];
        if (token.special && !parse_special) continue;
        if (token.single_word && touches_word(text, m)) continue;
        const size_t begin = token.lstrip ? std::max(done, begin_of_space(text, m.begin)) : m.begin;
        const size_t end = token.rstrip ? end_of_space(text, m.end) : m.end;
        if (done < begin) take(Stretch{done, begin, -1});
        take(Stretch{begin, end, token.id});
        done = end;
      }
    }
    if (done < text.size()) take(Stretch{done, text.size(), -1});
  }

 private:
  static bool touches_word(std::string_view text, const Match& match);
  static size_t begin_of_space(std::string_view text, size_t end);
  static size_t end_of_space(std::string_view text, size_t begin);

  Matcher matcher_;
  std::vector<AddedToken> tokens_;
};

}  // namespace lethe
