#include "data/shards.h"

#include <fmt/format.h>

#include <filesystem>

#include "data/shard_pair.h"
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

void check(const Tokenizer& tokenizer, const ShardOptions& options) {
  if (options.append_eos && tokenizer.eos_id() < 0) {
    throw DataError("append_eos: the tokenizer " + tokenizer.fingerprint() + " has no EOS");
  }
  if (options.prepend_bos && tokenizer.bos_id() < 0) {
    throw DataError("prepend_bos: the tokenizer " + tokenizer.fingerprint() + " has no BOS");
  }
}

}  // namespace

bool is_held_out(std::string_view text, const ShardOptions& options) {
  return Rng(options.seed, stream_of("data.held_out")).uniform(stream_of(text)) < options.held_out;
}

ShardSet build_shards(const Corpus& corpus, const Tokenizer& tokenizer, const std::string& directory,
                      const ShardOptions& options, const ShardProgress& progress) {
  check(tokenizer, options);
  const std::string key = cache_key(corpus, tokenizer, options);
  if (const auto found = ShardPair::find(directory, key, options.held_out > 0.0)) return *found;

  ShardHeader header;
  header.tokenizer = tokenizer.fingerprint();
  header.vocab_size = tokenizer.vocab_size();
  header.source = corpus.description();
  header.key = key;
  ShardPair shards(directory, header, options);
  ParallelEncoder<std::string> encoder(
      [&](const std::string& text) {
        std::vector<int32_t> ids = tokenizer.encode(text);
        if (options.prepend_bos) ids.insert(ids.begin(), tokenizer.bos_id());
        if (options.append_eos) ids.push_back(tokenizer.eos_id());
        return EncodedDocument{std::move(ids), {}};
      },
      [&](const std::string& text, EncodedDocument&& document) { shards.append(text, document); });
  int64_t bytes = 0, told = 0;
  corpus.visit([&](Document&& document) {
    const size_t size = document.text.size();
    bytes += static_cast<int64_t>(size);
    encoder.add(std::move(document.text), size);
    if (progress && bytes - told >= (int64_t{1} << 20)) progress(told = bytes);
  });
  encoder.flush();
  if (progress) progress(bytes);
  return shards.commit();
}

}  // namespace lethe
