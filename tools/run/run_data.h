// What a configuration trains on and measures itself by, tokenized, split and ready to be dealt.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/chat_template.h"
#include "data/loader.h"
#include "data/shards.h"
#include "data/tokenizer.h"
#include "tools/options/train_options.h"
#include "tools/run/new_shards.h"

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
  std::optional<ChatTemplate> chat;  // of instructions
  double mixing_temperature = 0;
  std::vector<TrainingSource> sources;
  std::shared_ptr<NewShards> new_shards;  // of prepare_data: gone with the request unless keep_shards()
  std::vector<Domain> domains;  // "held_out" of the training text first, if any, then data.held_out's

  int64_t rows_per_epoch() const;
  int64_t tokens_per_epoch() const;      // without padding
  int64_t supervised_per_epoch() const;  // labels that are not ignored
  Loader loader(uint64_t shuffle_seed) const;
  // Each source's part of the rows dealt; they sum to 1.
  std::vector<double> shares() const;

  // The request was accepted: its tokenized data stay for the next run.
  void keep_shards() const {
    if (new_shards) new_shards->keep();
  }
};

// Tokenizes into options.data.cache_dir (or finds it there) on all cores, with progress on the log. What was
// written goes again with the RunData, and on an error, unless keep_shards() is called. Throws what data/
// throws: DataError, FormatError, ConfigError, IoError.
RunData prepare_data(const TrainOptions& options);

// Throws DataError if a step of the run's would have no target token.
void require_targets(const RunData& data, const TrainOptions& options, int64_t steps);

// The most documents that `rows` rows of what is trained on or measured hold together: rows if each row is
// one document, else a multiple of 16 so that like runs share their plans.
int64_t documents_of(const RunData& data, int64_t rows);

// Throws DataError if rows of `tokens_per_row` tokens with these document starts hold more documents than
// `most`, as documents_of found them; 0: any number.
void require_documents(std::span<const int32_t> document_start, int64_t tokens_per_row, int64_t most);

// Of all that decides which row the loader deals at a position: a checkpoint's position means nothing
// elsewhere.
std::string data_fingerprint(const RunData& data, const TrainOptions::Data& options);

// Every shard that the configuration names, for callers that need tokens rather than rows.
struct TokenizedText {
  std::string train, held_out;  // paths of shards; held_out empty if nothing was held out
};
// Instructions under `chat`, which may be nullptr, texts where a path holds none.
TokenizedText tokenize_text(const std::string& path, const TrainOptions::Data& data,
                            const Tokenizer& tokenizer, double held_out_fraction,
                            NewShards* new_shards = nullptr, const ChatTemplate* chat = nullptr);

}  // namespace lethe
