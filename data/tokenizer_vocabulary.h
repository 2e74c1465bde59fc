// A tokenizer from lists in memory, as a GGUF file keeps them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer.h"

namespace lethe {

struct TokenizerVocabulary {
  enum PieceType : int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

  // "llama": SentencePiece BPE, merged by score. "gpt2": byte-level BPE, merged by rank.
  std::string model;
  // How "gpt2" cuts text before merging: "gpt-2", "default" (the same), "llama-bpe" (also "llama3",
  // "llama-v3"), "qwen2", "smollm".
  std::string pre;
  std::vector<std::string> pieces;  // by id
  std::vector<float> scores;        // by id; "llama" alone
  std::vector<int32_t> types;       // by id, PieceType; empty: all normal
  std::vector<std::string> merges;  // "a b", best first; "gpt2" alone
  int32_t bos_id = -1, eos_id = -1, unk_id = -1, pad_id = -1;
  bool add_bos = false, add_eos = false;
  bool add_space_prefix = true;  // "llama": a text begins as if after a space
  bool remove_extra_whitespaces = false;
};

// `name` stands in errors (the GGUF file). Throws FormatError for lists of different lengths, an unknown
// model, pre or type, a merge of pieces that are not there, an id outside the vocabulary.
std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerVocabulary& vocabulary, const std::string& name);

// The lists of a model's folder: tokenizer.model, or the byte-level BPE of a tokenizer.json, and what
// tokenizer_config.json says beside it; the ids up to `size` that have no piece get "[PAD<id>]", unused.
// Throws DataError when there is no tokenizer, FormatError for one that such lists cannot express.
TokenizerVocabulary read_vocabulary(const std::string& folder, int64_t size);

}  // namespace lethe
