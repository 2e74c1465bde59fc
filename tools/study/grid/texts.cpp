#include "tools/study/grid/texts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/corpus.h"
#include "data/tokenizer_training.h"
#include "engine/error.h"
#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "tools/run/chat_files.h"
#include "tools/run/model_tokenizer.h"

namespace lethe::grid {
namespace {

namespace fs = std::filesystem;

constexpr std::array kParts{Part::train, Part::for_bases, Part::held_out};

const char* name_of(Part part) {
  return part == Part::train ? "train" : part == Part::for_bases ? "for_bases" : "held_out";
}

// What decides a text's split.
std::string split_key(const Text& t) {
  return fmt::format("{}|{}|{}|{}|{}|{}\n", fmt::join(t.paths, ","), fmt::join(t.extensions, ","), t.key,
                     t.held_out, t.for_bases, t.max_bytes);
}

std::string text_of_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

// By a document's content, as ShardOptions does it: exact copies go the same way.
void Texts::split(const Text& t) {
  const fs::path folder = fs::path(folder_) / t.name;
  if (text_of_file(folder / "split.txt") == split_key(t)) return;
  fs::create_directories(folder);
  CorpusOptions options{.paths = t.paths, .extensions = t.extensions, .json_key = t.key};
  options.split_bytes = 16384;
  const Corpus corpus(options);
  std::map<Part, std::ofstream> files;
  std::map<Part, int64_t> documents;
  for (const Part p : kParts) {
    fs::remove(folder / fmt::format("{}.jsonl", name_of(p)));
    files[p].open(folder / fmt::format("{}.jsonl", name_of(p)));
  }
  const ShardOptions measured{.held_out = t.held_out, .seed = 1};
  const ShardOptions apart{.held_out = t.for_bases, .seed = 2};
  int64_t bytes = 0;
  corpus.visit([&](Document&& d) {
    if (t.max_bytes > 0 && bytes >= t.max_bytes) return;
    bytes += static_cast<int64_t>(d.text.size());
    const Part p = is_held_out(d.text, measured) ? Part::held_out
                   : is_held_out(d.text, apart)  ? Part::for_bases
                                                 : Part::train;
    files[p] << nlohmann::json{{"text", d.text}}.dump() << "\n";
    ++documents[p];
  });
  for (const Part p : kParts) {
    files[p].close();
    if (!files[p]) throw IoError(folder.string(), "cannot be written");
  }
  log::info(fmt::format("{}: {} bytes, {} documents to train on, {} for bases alone, {} held out", t.name,
                        bytes, documents[Part::train], documents[Part::for_bases],
                        documents[Part::held_out]));
  replace_file((folder / "split.txt").string(), split_key(t));
}

std::string Texts::file(const Text& t, Part part) {
  split(t);
  const fs::path path = fs::path(folder_) / t.name / fmt::format("{}.jsonl", name_of(part));
  if (fs::file_size(path) == 0)
    throw DataError(fmt::format("{}: no document is {}", fmt::join(t.paths, ", "), name_of(part)));
  return path.string();
}

std::string Texts::tokenizer_of(const Base& base) {
  if (!base.vocabulary_of.empty()) return tokenizer_of(study_.base(base.vocabulary_of));
  const fs::path path = fs::path(folder_) / ("tokenizer-" + base.name) / "tokenizer.model";
  if (fs::exists(path)) return path.string();
  log::info(fmt::format("learning a vocabulary of {} pieces", base.vocab_size));
  fs::create_directories(path.parent_path());
  std::vector<Corpus> corpora;
  for (const auto& [name, share] : base.texts) {
    const Text& t = study_.text(name);
    corpora.emplace_back(CorpusOptions{.paths = {file(t, t.for_bases > 0 ? Part::for_bases : Part::train)}});
  }
  TokenizerTraining training;
  training.vocab_size = base.vocab_size;
  training.max_bytes = int64_t{16} << 20;
  train_sentencepiece(corpora, training, path.string());
  return path.string();
}

std::shared_ptr<const Tokenizer> Texts::tokenizer(const std::string& path) {
  auto& found = tokenizers_[path];
  if (!found) found = open_model_tokenizer(path);
  return found;
}

TrainingSource Texts::source(const std::string& name, Part part, const TrainOptions& o) {
  const std::string key = fmt::format("{}|{}|{}|{}|{}|{}", name, name_of(part), o.data.tokenizer,
                                      o.data.sequence_length, o.data.packing, o.data.chat_template);
  const auto found = sources_.find(key);
  if (found != sources_.end()) return found->second;
  const Text& text = study_.text(name);
  const std::shared_ptr<const Tokenizer> pieces = tokenizer(o.data.tokenizer);
  TrainOptions::Data data = o.data;
  data.cache_dir = folder_ + "/tokens";
  std::string path, shard_path;
  if (text.train.empty()) {
    data.text_key = "text";
    data.format = "jsonl";
    data.extensions.clear();
    path = file(text, part);
    shard_path = tokenize_text(path, data, *pieces, 0).train;
  } else {
    if (text.paths.size() != 1) throw ConfigError("grid.texts." + name + ".path", "must be one file");
    path = text.paths[0];
    const ChatTemplate chat = open_chat_template(o.data.chat_template);
    const TokenizedText both = tokenize_text(path, data, *pieces, text.held_out, nullptr, &chat);
    shard_path = part == Part::held_out ? both.held_out : both.train;
  }
  const auto shard = std::make_shared<const TokenShard>(shard_path, pieces->fingerprint());
  const std::shared_ptr<const Rows> rows = make_rows(shard, {.tokens_per_row = data.sequence_length,
                                                             .mode = row_mode("data.packing", data.packing),
                                                             .document_mask = data.document_mask});
  return sources_[key] = TrainingSource{path, 1, shard, rows};
}

}  // namespace lethe::grid
