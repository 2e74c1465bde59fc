#include "data/shards.h"

#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/shard_writer.h"
#include "data/token_shard.h"
#include "engine/error.h"
#include "engine/rng.h"

namespace lethe {
namespace {

// All that decides the shards' bytes, hashed.
std::string cache_key(const Corpus& corpus, const Tokenizer& tokenizer, const ShardOptions& options) {
  std::string text = fmt::format("shards 1 {} {} {} {} {} {} {}\n", tokenizer.fingerprint(),
                                 options.append_eos, options.prepend_bos, options.held_out, options.seed,
                                 corpus.options().split_bytes, corpus.options().json_key);
  for (const SourceFile& file : corpus.files()) {
    text +=
        fmt::format("{}\n{} {}\n", std::filesystem::absolute(file.path).string(), file.size, file.modified);
  }
  return fmt::format("{:016x}", stream_of(text));
}

// A shard that can be used again, or nothing.
std::optional<ShardSplit> find(const std::string& path, const std::string& key) {
  if (!std::filesystem::exists(path)) return {};
  try {
    const TokenShard shard(path);
    if (shard.header().key != key) return {};
    return ShardSplit{path, shard.documents(), shard.tokens()};
  } catch (const RequestError&) {
    return {};  // Damaged: it is written anew.
  }
}

void check(const Tokenizer& tokenizer, const ShardOptions& options) {
  if (!(options.held_out >= 0.0 && options.held_out < 1.0)) {
    throw ConfigError("data.held_out",
                      fmt::format("must be at least 0 and below 1, is {}", options.held_out));
  }
  if (options.append_eos && tokenizer.eos_id() < 0) {
    throw DataError("append_eos: the tokenizer " + tokenizer.fingerprint() + " has no EOS");
  }
  if (options.prepend_bos && tokenizer.bos_id() < 0) {
    throw DataError("prepend_bos: the tokenizer " + tokenizer.fingerprint() + " has no BOS");
  }
}

// Documents gathered until there is enough for all cores, encoded together, written in order.
class Encoder {
 public:
  Encoder(const Tokenizer& tokenizer, const ShardOptions& options, ShardWriter& train, ShardWriter* held_out)
      : tokenizer_(tokenizer), options_(options), train_(train), held_out_(held_out) {}

  void add(std::string text) {
    waiting_bytes_ += text.size();
    texts_.push_back(std::move(text));
    if (waiting_bytes_ >= batch_bytes) flush();
  }

  void flush() {
    const auto count = static_cast<int64_t>(texts_.size());
    std::vector<std::vector<int32_t>> ids(texts_.size());
    std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = 0; i < count; ++i) {
      try {
        ids[i] = encode(texts_[i]);
      } catch (...) {
#pragma omp critical(lethe_shard_failure)
        failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
    for (int64_t i = 0; i < count; ++i) {
      const bool apart = held_out_ != nullptr && is_held_out(texts_[i], options_);
      (apart ? *held_out_ : train_).append(ids[i]);
    }
    texts_.clear();
    waiting_bytes_ = 0;
  }

 private:
  static constexpr size_t batch_bytes = size_t{4} << 20;

  std::vector<int32_t> encode(const std::string& text) const {
    std::vector<int32_t> ids = tokenizer_.encode(text);
    if (options_.prepend_bos) ids.insert(ids.begin(), tokenizer_.bos_id());
    if (options_.append_eos) ids.push_back(tokenizer_.eos_id());
    return ids;
  }

  const Tokenizer& tokenizer_;
  const ShardOptions& options_;
  ShardWriter& train_;
  ShardWriter* held_out_;
  std::vector<std::string> texts_;
  size_t waiting_bytes_ = 0;
};

void require_both_sides(const ShardHeader& train, const ShardHeader* held_out, double fraction) {
  const int64_t apart = held_out == nullptr ? 0 : held_out->documents;
  if (train.documents > 0 && (held_out == nullptr || apart > 0)) return;
  throw DataError(
      fmt::format("{}: of {} documents {} fell to training and {} to the held-out side (held_out {}); split "
                  "the text into more "
                  "documents, or change the fraction or the seed",
                  train.source, train.documents + apart, train.documents, apart, fraction));
}

ShardSplit summary(const std::string& path, const ShardHeader& header) {
  return {path, header.documents, header.tokens};
}

}  // namespace

bool is_held_out(std::string_view text, const ShardOptions& options) {
  return Rng(options.seed, stream_of("data.held_out")).uniform(stream_of(text)) < options.held_out;
}

ShardSet build_shards(const Corpus& corpus, const Tokenizer& tokenizer, const std::string& directory,
                      const ShardOptions& options, const ShardProgress& progress) {
  check(tokenizer, options);
  const std::string key = cache_key(corpus, tokenizer, options);
  const std::string train_path = (std::filesystem::path(directory) / "train.tokens").string();
  const std::string held_out_path = (std::filesystem::path(directory) / "held_out.tokens").string();
  const bool splits = options.held_out > 0.0;

  const auto train_found = find(train_path, key);
  const auto held_out_found = splits ? find(held_out_path, key) : ShardSplit{};
  if (train_found && held_out_found) return {*train_found, *held_out_found, true};

  ShardHeader header;
  header.tokenizer = tokenizer.fingerprint();
  header.vocab_size = tokenizer.vocab_size();
  header.source = corpus.description();
  header.key = key;
  ShardWriter train(train_path, header);
  std::optional<ShardWriter> held_out;
  if (splits) held_out.emplace(held_out_path, header);
  ShardWriter* apart = splits ? &*held_out : nullptr;

  Encoder encoder(tokenizer, options, train, apart);
  int64_t bytes = 0, told = 0;
  corpus.visit([&](Document&& document) {
    bytes += static_cast<int64_t>(document.text.size());
    encoder.add(std::move(document.text));
    if (progress && bytes - told >= (int64_t{1} << 20)) progress(told = bytes);
  });
  encoder.flush();
  if (progress) progress(bytes);
  require_both_sides(train.header(), apart == nullptr ? nullptr : &apart->header(), options.held_out);
  if (apart != nullptr) apart->commit();
  train.commit();
  return {summary(train_path, train.header()),
          apart == nullptr ? ShardSplit{} : summary(held_out_path, apart->header()), false};
}

}  // namespace lethe
