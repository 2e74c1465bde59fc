// The "model" and "added_tokens" of tokenizer.json.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/json.h"

namespace lethe {

// All pieces by id and by text; an added token hides a piece of the same text.
struct Vocabulary {
  std::vector<std::string> pieces;  // empty: no piece has this id
  std::vector<bool> special;
  std::unordered_map<std::string, int32_t> ids;
  std::vector<AddedToken> added;
  std::optional<std::string> unk_token;
};

// `model`: {"type": "BPE", "vocab": ..., "merges": ...}. Throws FormatError.
Vocabulary read_vocabulary(const JsonPlace& model, const JsonPlace& added_tokens);

// `bytes`: the words to come are bytes, see PreTokenization.
Bpe make_bpe(const JsonPlace& model, bool bytes);

}  // namespace lethe
