#include "data/tokenizer/pipeline.h"

#include <fmt/format.h>
#include <utf8.h>

#include <atomic>
#include <filesystem>

#include "data/atomic_file.h"
#include "data/tokenizer/decoder.h"
#include "data/tokenizer/json.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/post_processor.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/vocabulary_json.h"
#include "data/tokenizer/word_cache.h"
#include "engine/error.h"
#include "engine/rng.h"

namespace lethe {

uint64_t WordCache::next_owner() {
  static std::atomic<uint64_t> owners = 0;
  return ++owners;
}

namespace {

const nlohmann::json nothing;

JsonPlace member(const JsonPlace& document, const char* key, const std::string& name) {
  return document.find(key).value_or(JsonPlace(nothing, name, key));
}

class Pipeline final : public Tokenizer {
 public:
  Pipeline(const JsonPlace& document, const std::string& name, const TokenizerRoles& roles)
      : vocabulary_(read_vocabulary(document.at("model"), member(document, "added_tokens", name))),
        normalizer_(make_normalizer(member(document, "normalizer", name))),
        pre_tokenization_(make_pre_tokenization(member(document, "pre_tokenizer", name))),
        bpe_(make_bpe(document.at("model"), pre_tokenization_.bytes)),
        frame_(make_special_frame(member(document, "post_processor", name))),
        decoder_(make_decoder(member(document, "decoder", name))),
        file_(document.value().dump()),
        roles_(roles) {
    const std::string version = document.string_or("version", "1.0");
    if (version != "1.0")
      document.at("version").refuse(fmt::format("version {} is not implemented", version));
    for (const AddedToken& token : vocabulary_.added) {
      if (token.normalized && normalizer_) {
        normalized_.add(token, normalizer_(token.content));
      } else {
        (token.normalized ? normalized_ : raw_).add(token, token.content);
      }
    }
    if (bpe_.options().cuts_at_marks) pre_tokenization_.steps.push_back(make_mark_cut());
    bos_ = role(roles.bos, "bos_token");
    eos_ = role(roles.eos, "eos_token");
    pad_ = role(roles.pad, "pad_token");
    unk_ = role(roles.unk ? roles.unk : vocabulary_.unk_token, "unk_token");
    for (const auto* ids : {&frame_.before, &frame_.after}) {
      for (const int32_t id : *ids) {
        if (id >= vocab_size()) {
          throw FormatError(name, "post_processor",
                            fmt::format("id {} is outside the vocabulary of {}", id, vocab_size()));
        }
      }
    }
    fingerprint_ = fmt::format("tokenizer-{:016x}", stream_of(fmt::format("{}\n{} {}", file_, bos_, eos_)));
  }

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override {
    if (!utf8::is_valid(text.begin(), text.end())) {
      throw DataError(fmt::format("text of {} bytes to encode is not valid UTF-8", text.size()));
    }
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 4 + 8);
    if (options.add_special_tokens) ids.insert(ids.end(), frame_.before.begin(), frame_.before.end());
    raw_.cut(text, options.parse_special, [&](const Stretch& stretch) {
      if (stretch.id >= 0) {
        ids.push_back(stretch.id);
      } else {
        encode_raw(text.substr(stretch.begin, stretch.end - stretch.begin), stretch.begin == 0, options, ids);
      }
    });
    if (options.add_special_tokens) ids.insert(ids.end(), frame_.after.begin(), frame_.after.end());
    return ids;
  }

  std::string decode(std::span<const int32_t> ids, bool skip_special) const override {
    std::vector<std::string> pieces;
    for (const int32_t id : ids) {
      check(id);
      if (!(skip_special && vocabulary_.special[id])) pieces.push_back(vocabulary_.pieces[id]);
    }
    if (decoder_) pieces = decoder_(std::move(pieces));
    std::string text;
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (!decoder_ && i > 0) text += ' ';
      text += pieces[i];
    }
    return text;
  }

  int64_t vocab_size() const override { return std::ssize(vocabulary_.pieces); }
  int32_t bos_id() const override { return bos_; }
  int32_t eos_id() const override { return eos_; }
  int32_t unk_id() const override { return unk_; }
  int32_t pad_id() const override { return pad_; }
  std::vector<int32_t> prefix_ids() const override { return frame_.before; }
  std::vector<int32_t> suffix_ids() const override { return frame_.after; }
  std::string fingerprint() const override { return fingerprint_; }

  std::string piece(int32_t id) const override {
    check(id);
    return vocabulary_.pieces[id];
  }
  int32_t piece_id(std::string_view piece) const override {
    const auto found = vocabulary_.ids.find(std::string(piece));
    return found == vocabulary_.ids.end() ? -1 : found->second;
  }
  bool is_special(int32_t id) const override {
    check(id);
    return vocabulary_.special[id];
  }

  void save(const std::string& folder) const override {
    const std::filesystem::path path(folder);
    AtomicFile file((path / "tokenizer.json").string());
    file.write(file_.data(), file_.size());
    file.commit();
    write_roles(roles_, folder);
  }

 private:
  void check(int32_t id) const {
    if (id < 0 || id >= vocab_size()) {
      throw DataError(fmt::format("token id {} is outside the vocabulary of {}", id, vocab_size()));
    }
  }

  int32_t role(const std::optional<std::string>& piece, const char* key) const {
    if (!piece) return -1;
    const int32_t id = piece_id(*piece);
    if (id < 0) throw FormatError(roles_.file, key, fmt::format("\"{}\" is not in the vocabulary", *piece));
    return id;
  }

  // Text between added tokens that are looked for as it is written.
  void encode_raw(std::string_view text, bool at_start, const EncodeOptions& options,
                  std::vector<int32_t>& ids) const {
    const std::string changed = normalizer_ ? normalizer_(text) : std::string();
    const std::string_view normal = normalizer_ ? std::string_view(changed) : text;
    normalized_.cut(normal, options.parse_special, [&](const Stretch& stretch) {
      if (stretch.id >= 0) {
        ids.push_back(stretch.id);
      } else {
        encode_plain(normal.substr(stretch.begin, stretch.end - stretch.begin),
                     at_start && stretch.begin == 0, options, ids);
      }
    });
  }

  // Normalised text without added tokens.
  void encode_plain(std::string_view text, bool at_start, const EncodeOptions& options,
                    std::vector<int32_t>& ids) const {
    Words words(text, at_start);
    for (const auto& step : pre_tokenization_.steps) step->apply(words);
    thread_local WordCache cache;
    cache.belong_to(owner_);
    for (const Words::Span& span : words.spans()) {
      const std::string_view word = words.word(span);
      if (cache.find(word, ids)) continue;
      const size_t before = ids.size();
      const size_t dropped = bpe_.encode(word, ids);
      if (dropped > 0) {
        if (!options.drop_unknown) refuse(word, dropped);
        continue;  // not kept: the next time it must be refused or counted again
      }
      cache.keep(word, ids.data() + before, ids.size() - before);
    }
  }

  [[noreturn]] void refuse(std::string_view word, size_t dropped) const {
    throw DataError(
        fmt::format("\"{}\" has {} byte{} that the vocabulary cannot express, and it has no unknown token",
                    word.substr(0, 64), dropped, dropped == 1 ? "" : "s"));
  }

  Vocabulary vocabulary_;
  Normalizer normalizer_;
  PreTokenization pre_tokenization_;
  Bpe bpe_;
  SpecialFrame frame_;
  Decoder decoder_;
  AddedTokenFinder raw_, normalized_;
  std::string file_, fingerprint_;
  TokenizerRoles roles_;
  int32_t bos_ = -1, eos_ = -1, unk_ = -1, pad_ = -1;
  uint64_t owner_ = WordCache::next_owner();
};

}  // namespace

std::unique_ptr<Tokenizer> make_pipeline(const nlohmann::json& document, const std::string& name,
                                         const TokenizerRoles& roles) {
  const JsonPlace place(document, name, "");
  place.require_object();
  return std::make_unique<Pipeline>(place, name, roles);
}

}  // namespace lethe
