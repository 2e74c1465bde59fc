// Byte-pair encoding of one word: adjacent pieces are merged, the pair of lowest rank first and of equal ones
// the leftmost, until no pair is on the list. Sennrich, Haddow and Birch, "Neural Machine Translation of Rare
// Words with Subword Units" (2016).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/pair_table.h"

namespace lethe {

inline constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581, which stands for a space

struct BpeOptions {
  bool bytes = false;          // begin from bytes, not from characters
  bool byte_fallback = false;  // a character outside the vocabulary becomes its bytes' pieces <0x..>
  bool fuse_unk = false;       // such characters in a row become one unknown piece
  bool ignore_merges = false;  // a word that is a piece needs no merges
  // No merge gives a mark after another character: text may be cut before such marks and the ids stay the
  // same.
  bool cuts_at_marks = false;
  int32_t unk_id = -1;  // -1: such a character cannot be expressed
};

class Bpe {
 public:
  struct Merge {
    int32_t left, right, result;
  };

  // `vocabulary`: piece to id, in bytes where options.bytes; `merges` by rank.
  Bpe(std::unordered_map<std::string, int32_t> vocabulary, const std::vector<Merge>& merges,
      BpeOptions options);

  // Appends the ids of a word. Returns how many bytes of it could not be expressed and were dropped.
  size_t encode(std::string_view word, std::vector<int32_t>& ids) const;

  const BpeOptions& options() const { return options_; }
  int32_t find(const std::string& piece) const;  // -1: there is none

 private:
  size_t begin_symbols(std::string_view word, std::vector<int32_t>& symbols) const;
  void merge_few(std::vector<int32_t>& symbols) const;
  void merge_many(std::vector<int32_t>& symbols) const;

  std::unordered_map<std::string, int32_t> vocabulary_;
  PairTable pairs_;
  BpeOptions options_;
  int32_t byte_symbols_[256];  // the pieces of one byte; -1: none
  int32_t fallback_[256];      // the pieces <0x..>; -1: none
};

}  // namespace lethe
