// A new SentencePiece model from a corpus.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus.h"

namespace lethe {

struct TokenizerTraining {
  std::string model_type = "bpe";  // bpe or unigram
  int64_t vocab_size = 8192;       // with <unk> <s> </s> and, under byte_fallback, the 256 bytes
  bool byte_fallback = true;       // without it, characters outside the vocabulary are lost as <unk>
  double character_coverage = 0.9995;
  // Text to learn from at most; a larger corpus is thinned evenly over its whole length.
  int64_t max_bytes = int64_t{32} << 20;
};

// Learns from all corpora together and writes the model to `path` (by way of a temporary name).
// White space is kept as it is: no normalisation, runs of spaces may be pieces of their own (indentation),
// and a newline or tab is always a token by itself, as in Llama-2's model. The same corpora give the same
// bytes. Throws ConfigError (an option out of range), DataError (the text has too little for vocab_size, or
// too many characters), what Corpus::visit throws, IoError.
void train_sentencepiece(const std::vector<Corpus>& corpora, const TokenizerTraining& options,
                         const std::string& path);

}  // namespace lethe
