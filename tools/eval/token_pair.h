// A context and its continuation as token ids, split as lm-evaluation-harness or the gauntlet splits them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace lethe::eval {

// Whether a text begins with the beginning-of-sequence token: as the tokenizer's own files have it, always,
// or never.
enum class Bos { tokenizer, on, off };

struct EncodingOptions {
  Bos bos = Bos::tokenizer;
  int32_t prefix_id = -1;  // stands for an empty context; -1: the tokenizer's BOS, else its EOS
};

struct TokenPair {
  std::vector<int32_t> context, continuation;
};

// Spaces at the context's end go to the continuation's beginning.
std::pair<std::string_view, std::string> move_spaces(std::string_view context, std::string_view continuation);

class PairEncoder {
 public:
  // The tokenizer must outlive this. Throws DataError if no token can stand for an empty context.
  PairEncoder(const Tokenizer& tokenizer, const EncodingOptions& options);

  int32_t prefix_id() const { return prefix_id_; }
  // A text with what the tokenizer puts before it, unless the text begins with that token itself.
  std::vector<int32_t> encode(std::string_view text) const;
  // Without.
  std::vector<int32_t> encode_bare(std::string_view text) const;
  // The continuation's ids are those of both together, behind as many as the context alone has. Throws
  // DataError if either has none then: no score exists.
  TokenPair pair(std::string_view context, std::string_view continuation) const;
  // The gauntlet's way: the examples before (or nothing) with what the tokenizer puts before a text, then the
  // question and the answer, each encoded alone. An answer gets a space before it where the tokenizer has one
  // token for " a". Throws DataError if context or continuation has no token.
  TokenPair apart(std::string_view before, std::string_view question, std::string_view answer) const;

 private:
  const Tokenizer* tokenizer_;
  Bos bos_;
  int32_t prefix_id_;
  std::string prefix_text_;
  bool joins_spaces_;
};

// What a model is given and what it is asked: targets follow the last of `input`, one each.
struct ScoreRequest {
  std::vector<int32_t> input, targets;
};

// The last `max_length` tokens before the last target, so that what is cut off is the beginning. Throws
// DataError if the continuation alone is longer.
ScoreRequest request_of(const TokenPair& pair, int64_t max_length);

}  // namespace lethe::eval
