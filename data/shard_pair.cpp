#include "data/shard_pair.h"

#include <fmt/format.h>

#include <filesystem>

#include "data/token_shard.h"
#include "engine/error.h"

namespace lethe {
namespace {

std::string inside(const std::string& directory, const char* name) {
  return (std::filesystem::path(directory) / name).string();
}

ShardSplit summary(const std::string& path, const ShardHeader& header) {
  return {path, header.documents, header.tokens};
}

std::optional<ShardSplit> find_one(const std::string& path, const std::string& key) {
  if (!std::filesystem::exists(path)) return {};
  try {
    const TokenShard shard(path);
    if (shard.header().key != key) return {};
    return summary(path, shard.header());
  } catch (const RequestError&) {
    return {};  // Damaged: it is written anew.
  }
}

// A share that is no share must not make a file.
const ShardOptions& checked(const ShardOptions& options) {
  if (!(options.held_out >= 0.0 && options.held_out < 1.0)) {
    throw ConfigError("data.held_out",
                      fmt::format("must be at least 0 and below 1, is {}", options.held_out));
  }
  return options;
}

}  // namespace

std::optional<ShardSet> ShardPair::find(const std::string& directory, const std::string& key, bool splits) {
  const auto train = find_one(inside(directory, "train.tokens"), key);
  const auto held_out = splits ? find_one(inside(directory, "held_out.tokens"), key) : ShardSplit{};
  if (!train || !held_out) return {};
  return ShardSet{*train, *held_out, true};
}

ShardPair::ShardPair(const std::string& directory, const ShardHeader& header, const ShardOptions& options)
    : options_(checked(options)),
      train_path_(inside(directory, "train.tokens")),
      held_out_path_(inside(directory, "held_out.tokens")),
      train_(train_path_, header) {
  if (options.held_out > 0.0) held_out_.emplace(held_out_path_, header);
}

void ShardPair::append(std::string_view identity, const EncodedDocument& document) {
  const bool apart = held_out_ && is_held_out(identity, options_);
  (apart ? *held_out_ : train_).append(document.ids, document.supervised);
}

ShardSet ShardPair::commit() {
  const int64_t trained = train_.header().documents, apart = held_out_ ? held_out_->header().documents : 0;
  if (trained == 0 || (held_out_ && apart == 0)) {
    throw DataError(fmt::format(
        "{}: of {} documents {} fell to training and {} to the held-out side (held_out {}); split the text "
        "into more documents, or change the fraction or the seed",
        train_.header().source, trained + apart, trained, apart, options_.held_out));
  }
  if (held_out_) held_out_->commit();
  train_.commit();
  return {summary(train_path_, train_.header()),
          held_out_ ? summary(held_out_path_, held_out_->header()) : ShardSplit{}, false};
}

}  // namespace lethe
