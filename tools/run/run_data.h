// What a configuration trains on and measures itself by, tokenized, split and ready to be dealt.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/loader.h"
#include "data/shards.h"
#include "data/tokenizer.h"
#include "tools/options/train_options.h"

namespace lethe {

// A text that is measured and never trained on.
struct Domain {
  std::string name;
  std::shared_ptr<const Rows> rows;
};

struct TrainingSource {
  std::string path;
  double weight = 1;
  std::shared_ptr<const TokenShard> shard;
  std::shared_ptr<const Rows> rows;
};

struct RunData {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::vector<TrainingSource> sources;
  std::vector<Domain> domains;  // "held_out" of the training text first, if any, then data.held_out's

  int64_t rows_per_epoch() const;
  int64_t tokens_per_epoch() const;      // without padding
  int64_t supervised_per_epoch() const;  // labels that are not ignored
  Loader loader(uint64_t shuffle_seed) const;
};

// Tokenizes into options.data.cache_dir (or finds it there) on all cores, with progress on the log. Throws what
// data/ throws: DataError, FormatError, ConfigError, IoError.
RunData prepare_data(const TrainOptions& options);

// Every shard that the configuration names, for callers that need tokens rather than rows.
struct TokenizedText {
  std::string train, held_out;  // paths of shards; held_out empty if nothing was held out
};
TokenizedText tokenize_text(const std::string& path, const TrainOptions::Data& data, const Tokenizer& tokenizer,
                            double held_out_fraction);

}  // namespace lethe
