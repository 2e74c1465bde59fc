// A corpus as token shards, one for training and one held out, kept in a folder and used again while they
// fit.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "data/corpus.h"
#include "data/tokenizer.h"

namespace lethe {

struct ShardOptions {
  bool append_eos = true;
  bool prepend_bos = false;
  // The share of documents held out, in [0, 1). Decided by a document's own text and the seed: exact copies
  // go the same way, and a document stays where it is when others come or go.
  double held_out = 0.0;
  uint64_t seed = 0;
};

struct ShardSplit {
  std::string path;  // empty when nothing was held out
  int64_t documents = 0;
  int64_t tokens = 0;
};

struct ShardSet {
  ShardSplit train, held_out;
  bool reused = false;  // found on disk; nothing was encoded
};

// Called now and then with the bytes of text done so far.
using ShardProgress = std::function<void(int64_t bytes)>;

// Writes DIRECTORY/train.tokens and, where held_out > 0, DIRECTORY/held_out.tokens; or finds them there, made
// from the same files (path, size, modification time), corpus options, tokenizer and ShardOptions. Encodes on
// all cores; the files do not depend on how many. Throws ConfigError (held_out outside [0, 1)), DataError (a
// side of the split got no document; append_eos with a tokenizer that has none), what Corpus::visit throws,
// IoError. After an error no shard was changed.
ShardSet build_shards(const Corpus& corpus, const Tokenizer& tokenizer, const std::string& directory,
                      const ShardOptions& options, const ShardProgress& progress = {});

// Whether a text is held out under `options`.
bool is_held_out(std::string_view text, const ShardOptions& options);

}  // namespace lethe
