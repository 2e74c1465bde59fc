#include "tools/run/run_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "data/instruction_shards.h"
#include "engine/error.h"
#include "engine/log.h"
#include "engine/rng.h"
#include "tools/run/chat_files.h"
#include "tools/run/model_tokenizer.h"

namespace lethe {
namespace {

CorpusOptions corpus_options(const std::string& path, const TrainOptions::Data& data) {
  namespace fs = std::filesystem;
  CorpusOptions options{.paths = {path}, .extensions = data.extensions, .json_key = data.text_key};
  const bool is_folder = fs::is_directory(path), is_jsonl = path.find(".jsonl") != std::string::npos;
  if ((data.format == "folder" && !is_folder) || (data.format == "text" && (is_folder || is_jsonl)) ||
      (data.format == "jsonl" && !is_jsonl)) {
    throw DataError(fmt::format("data.format is {}, but {} is {}", data.format, path,
                                is_folder  ? "a folder"
                                : is_jsonl ? "a JSONL file"
                                           : "a plain file"));
  }
  return options;
}

std::shared_ptr<const Rows> rows_over(std::shared_ptr<const TokenShard> shard,
                                      const TrainOptions::Data& data) {
  return make_rows(std::move(shard), {.tokens_per_row = data.sequence_length,
                                      .mode = row_mode("data.packing", data.packing),
                                      .document_mask = data.document_mask});
}

// A folder of its own for each text, tokenizer and split: two runs never overwrite each other's shards.
std::filesystem::path shard_folder(const TrainOptions::Data& data, const std::string& key) {
  return std::filesystem::path(data.cache_dir) / fmt::format("{:016x}", stream_of(key));
}

void report(const std::string& path, const char* what, const ShardSet& set) {
  if (set.reused) return;
  log::info(fmt::format("tokenized {}: {} {}, {} tokens", path, set.train.documents, what, set.train.tokens));
}

TokenizedText tokenize_instructions(const std::string& path, const Corpus& corpus,
                                    const TrainOptions::Data& data, const Tokenizer& tokenizer,
                                    double held_out_fraction, NewShards* new_shards,
                                    const ChatTemplate& chat) {
  const ChatEncoder encoder(chat, tokenizer, data.add_bos);
  const InstructionShardOptions options{.records = {data.records, data.prompt_key, data.response_key},
                                        .loss = data.loss == "all" ? ChatLoss::all : ChatLoss::responses,
                                        .too_long = too_long_from("data.too_long", data.too_long),
                                        .most_tokens = data.sequence_length,
                                        .held_out = held_out_fraction};
  const auto folder =
      shard_folder(data, fmt::format("{}|{}|{}|{}|{}|{}|{}|{}", std::filesystem::absolute(path).string(),
                                     tokenizer.fingerprint(), held_out_fraction, chat.hash(), data.add_bos,
                                     data.loss, data.too_long, data.sequence_length));
  if (new_shards) new_shards->expect(folder);
  const ShardSet set = build_instruction_shards(corpus, encoder, tokenizer, folder.string(), options);
  report(path, "examples", set);
  return {set.train.path, set.held_out.path};
}

}  // namespace

TokenizedText tokenize_text(const std::string& path, const TrainOptions::Data& data,
                            const Tokenizer& tokenizer, double held_out_fraction, NewShards* new_shards,
                            const ChatTemplate* chat) {
  const InstructionOptions records{data.records, data.prompt_key, data.response_key};
  const Corpus corpus(corpus_options(path, data));
  if (chat != nullptr && holds_instructions(corpus.files()[0].path, data.text_key, records)) {
    return tokenize_instructions(path, corpus, data, tokenizer, held_out_fraction, new_shards, *chat);
  }
  const ShardOptions options{.append_eos = tokenizer.eos_id() >= 0,
                             .prepend_bos = data.add_bos && tokenizer.bos_id() >= 0,
                             .held_out = held_out_fraction};
  const auto folder = shard_folder(
      data, fmt::format("{}|{}|{}|{}|{}", std::filesystem::absolute(path).string(), tokenizer.fingerprint(),
                        held_out_fraction, options.prepend_bos, fmt::join(data.extensions, ",")));
  if (new_shards) new_shards->expect(folder);
  const ShardSet set = build_shards(corpus, tokenizer, folder.string(), options);
  report(path, "documents", set);
  return {set.train.path, set.held_out.path};
}

RunData prepare_data(const TrainOptions& options) {
  RunData made;
  made.tokenizer = open_model_tokenizer(options.data.tokenizer);
  const Tokenizer& tokenizer = *made.tokenizer;
  if (!options.data.chat_template.empty()) made.chat = open_chat_template(options.data.chat_template);
  const ChatTemplate* chat = made.chat ? &*made.chat : nullptr;
  made.mixing_temperature = options.data.mixing_temperature;
  made.new_shards = std::make_shared<NewShards>();
  const auto open = [&](const std::string& path) {
    return std::make_shared<const TokenShard>(path, tokenizer.fingerprint());
  };
  if (options.data.train.empty()) throw ConfigError("data.train", "names no text to train on");
  for (const WeightedPath& source : options.data.train) {
    const TokenizedText text = tokenize_text(source.path, options.data, tokenizer,
                                             options.data.held_out_fraction, made.new_shards.get(), chat);
    const auto shard = open(text.train);
    made.sources.push_back({source.path, source.weight, shard, rows_over(shard, options.data)});
    if (text.held_out.empty()) continue;
    const std::string name = options.data.train.size() == 1
                                 ? "held_out"
                                 : "held_out." + std::filesystem::path(source.path).stem().string();
    made.domains.push_back({name, rows_over(open(text.held_out), options.data)});
  }
  if (made.chat &&
      std::ranges::none_of(made.sources, [](const TrainingSource& s) { return s.shard->header().masked; })) {
    throw ConfigError(
        "data.chat_template",
        fmt::format("is set, but the first record of what data.train names has the key \"{}\" and is a "
                    "text, or there is no record; data.prompt_key or data.text_key would tell them apart",
                    options.data.text_key));
  }
  for (const NamedPath& held_out : options.data.held_out) {
    const TokenizedText text =
        tokenize_text(held_out.path, options.data, tokenizer, 0, made.new_shards.get(), chat);
    made.domains.push_back({held_out.name, rows_over(open(text.train), options.data)});
  }
  return made;
}

void require_targets(const RunData& data, const TrainOptions& options, int64_t steps) {
  // Nearly every text has a target in each of its rows. Where one has not, each step is looked at here rather
  // than found without any when the run has come to it.
  const auto has_bare_rows = [](const TrainingSource& s) { return s.rows->counts().unsupervised_rows > 0; };
  if (std::ranges::none_of(data.sources, has_bare_rows)) return;
  const Loader loader = data.loader(static_cast<uint64_t>(options.data.shuffle_seed));
  const int64_t rows = options.train.batch_size;
  for (int64_t s = 0; s < steps; ++s) loader.at(static_cast<uint64_t>(s * rows), rows);
}

int64_t documents_of(const RunData& data, int64_t rows) {
  constexpr int64_t kMultiple = 16;
  int64_t most = 1;
  for (const TrainingSource& s : data.sources) most = std::max(most, s.rows->counts().most_documents);
  for (const Domain& d : data.domains) most = std::max(most, d.rows->counts().most_documents);
  return most == 1 ? rows : (rows * most + kMultiple - 1) / kMultiple * kMultiple;
}

void require_documents(std::span<const int32_t> document_start, int64_t tokens_per_row, int64_t most) {
  if (most == 0) return;
  int64_t found = 0;
  for (size_t i = 0; i < document_start.size(); ++i) {
    found += document_start[i] == static_cast<int64_t>(i) % tokens_per_row;
  }
  if (found <= most) return;
  throw DataError(
      fmt::format("a micro-batch of {} documents, where the program was made for {} at most", found, most));
}

std::string data_fingerprint(const RunData& data, const TrainOptions::Data& options) {
  std::string text = fmt::format("{} {} {} {}", options.sequence_length, options.packing,
                                 options.document_mask, options.shuffle_seed);
  for (const TrainingSource& s : data.sources) {
    const RowCounts& n = s.rows->counts();
    text += fmt::format("|{} {} {} {} {}", s.weight, n.rows, n.tokens, n.supervised, s.shard->documents());
  }
  if (data.mixing_temperature > 0) text += fmt::format("|temperature {}", data.mixing_temperature);
  return fmt::format("{:016x}", stream_of(text));
}

int64_t RunData::rows_per_epoch() const {
  int64_t n = 0;
  for (const TrainingSource& s : sources) n += s.rows->counts().rows;
  return n;
}

int64_t RunData::tokens_per_epoch() const {
  int64_t n = 0;
  for (const TrainingSource& s : sources) n += s.rows->counts().tokens;
  return n;
}

int64_t RunData::supervised_per_epoch() const {
  int64_t n = 0;
  for (const TrainingSource& s : sources) n += s.rows->counts().supervised;
  return n;
}

std::vector<double> RunData::shares() const {
  std::vector<double> shares;
  for (const TrainingSource& s : sources) {
    const auto tokens = static_cast<double>(s.rows->counts().tokens);
    shares.push_back(s.weight * (mixing_temperature > 0 ? std::pow(tokens, 1 / mixing_temperature) : 1));
  }
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= sum;
  return shares;
}

Loader RunData::loader(uint64_t shuffle_seed) const {
  // Without a temperature the weights as they are: a quotient would round where they need not.
  const std::vector<double> mixed = shares();
  std::vector<MixtureSource> mixture;
  for (size_t i = 0; i < sources.size(); ++i) {
    mixture.push_back({sources[i].rows, mixing_temperature > 0 ? mixed[i] : sources[i].weight});
  }
  return Loader(std::move(mixture), {.seed = shuffle_seed});
}

}  // namespace lethe
