#include "data/tokenizer/sentencepiece.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <utf8.h>

#include <filesystem>

#include "data/atomic_file.h"
#include "data/tokenizer/matcher.h"
#include "engine/error.h"
#include "engine/rng.h"

namespace lethe {
namespace {

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(std::string model, const std::string& name, const TokenizerRoles& roles)
      : model_(std::move(model)), roles_(roles), legacy_(roles.legacy.value_or(true)) {
    const auto status = processor_.LoadFromSerializedProto(model_);
    if (!status.ok() || processor_.GetPieceSize() == 0) {
      throw FormatError(name, "", fmt::format("not a SentencePiece model ({} bytes)", model_.size()));
    }
    bos_ = role(roles.bos, processor_.bos_id(), roles.file, "bos_token");
    eos_ = role(roles.eos, processor_.eos_id(), roles.file, "eos_token");
    pad_ = roles.pad ? piece_id(*roles.pad) : processor_.pad_id();
    for (const auto& [content, id] : roles.added) {
      if (id >= vocab_size() || processor_.IdToPiece(id) != content) {
        throw FormatError(
            roles.file, fmt::format("added_tokens_decoder.{}", id),
            fmt::format("\"{}\" is not in {}; only a tokenizer.json can add it", content, name));
      }
    }
    add_bos_ = roles.add_bos.value_or(true) && bos_ >= 0;
    add_eos_ = roles.add_eos.value_or(false) && eos_ >= 0;
    for (int32_t id = 0; id < vocab_size(); ++id) {
      if (processor_.IsControl(id) || processor_.IsUnknown(id)) control_.add(processor_.IdToPiece(id), id);
    }
    fingerprint_ = fmt::format("sentencepiece-{:016x}", stream_of(model_));
    // Only what the model alone does not say, so that shards made without a tokenizer_config.json still fit.
    if (bos_ != processor_.bos_id() || eos_ != processor_.eos_id())
      fingerprint_ += fmt::format("-{}-{}", bos_, eos_);
    if (!legacy_) fingerprint_ += "-connected";
  }

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override {
    if (!utf8::is_valid(text.begin(), text.end())) {
      throw DataError(fmt::format("text of {} bytes to encode is not valid UTF-8", text.size()));
    }
    std::vector<int32_t> ids;
    if (options.add_special_tokens && add_bos_) ids.push_back(bos_);
    size_t begin = 0;
    if (options.parse_special) {
      for (const Match& match : control_.find_all(text)) {
        append(text.substr(begin, match.begin - begin), begin == 0, ids);
        ids.push_back(match.id);
        begin = match.end;
      }
    }
    append(text.substr(begin), begin == 0, ids);
    if (options.add_special_tokens && add_eos_) ids.push_back(eos_);
    return ids;
  }

  std::string decode(std::span<const int32_t> ids, bool skip_special) const override {
    for (const int32_t id : ids) check(id);
    if (skip_special) return plain({ids.begin(), ids.end()});
    std::string text;
    std::vector<int> run;
    for (const int32_t id : ids) {
      if (!processor_.IsControl(id)) {
        run.push_back(id);
        continue;
      }
      text += plain(run) + processor_.IdToPiece(id);
      run.clear();
    }
    return text + plain(run);
  }

  int64_t vocab_size() const override { return processor_.GetPieceSize(); }
  int32_t bos_id() const override { return bos_; }
  int32_t eos_id() const override { return eos_; }
  int32_t unk_id() const override { return processor_.unk_id(); }
  int32_t pad_id() const override { return pad_; }
  std::vector<int32_t> prefix_ids() const override {
    return add_bos_ ? std::vector{bos_} : std::vector<int32_t>{};
  }
  std::vector<int32_t> suffix_ids() const override {
    return add_eos_ ? std::vector{eos_} : std::vector<int32_t>{};
  }
  std::string fingerprint() const override { return fingerprint_; }

  std::string piece(int32_t id) const override {
    check(id);
    return processor_.IdToPiece(id);
  }

  int32_t piece_id(std::string_view piece) const override {
    const int id = processor_.PieceToId(absl::string_view(piece.data(), piece.size()));
    return processor_.IdToPiece(id) == piece ? id : -1;
  }

  bool is_special(int32_t id) const override {
    check(id);
    return processor_.IsControl(id);
  }

  void save(const std::string& folder) const override {
    const std::filesystem::path path(folder);
    AtomicFile file((path / "tokenizer.model").string());
    file.write(model_.data(), model_.size());
    file.commit();
    TokenizerRoles roles = roles_;
    roles.add_bos = add_bos_;
    roles.add_eos = add_eos_;
    roles.legacy = legacy_;
    if (bos_ >= 0) roles.bos = piece(bos_);
    if (eos_ >= 0) roles.eos = piece(eos_);
    if (roles.tokenizer_class.empty()) roles.tokenizer_class = "LlamaTokenizer";
    write_roles(roles, folder);
  }

 private:
  int32_t role(const std::optional<std::string>& asked, int32_t own, const std::string& file,
               const char* key) const {
    if (!asked) return own;
    const int32_t id = piece_id(*asked);
    if (id < 0) throw FormatError(file, key, fmt::format("\"{}\" is not in the vocabulary", *asked));
    return id;
  }

  void check(int32_t id) const {
    if (id < 0 || id >= vocab_size()) {
      throw DataError(fmt::format("token id {} is outside the vocabulary of {}", id, vocab_size()));
    }
  }

  std::vector<int> plain_ids(const std::string& text) const {
    std::vector<int> ids;
    const auto status = processor_.Encode(absl::string_view(text.data(), text.size()), &ids);
    if (!status.ok()) throw DataError(fmt::format("text cannot be encoded: {}", status.message()));
    return ids;
  }

  // A stretch of text that holds no special token.
  void append(std::string_view text, bool first, std::vector<int32_t>& ids) const {
    if (text.empty()) return;
    size_t skip = 0;
    std::string whole;
    // Without its own space before it: encoded behind the unknown piece's text, which is then cut off, as the
    // reference does.
    if (!first && !legacy_ && unk_id() >= 0) {
      whole = processor_.IdToPiece(unk_id());
      skip = plain_ids(whole).size();
    }
    whole += text;
    const std::vector<int> made = plain_ids(whole);
    ids.insert(ids.end(), made.begin() + static_cast<std::ptrdiff_t>(std::min(skip, made.size())),
               made.end());
  }

  std::string plain(const std::vector<int>& ids) const {
    std::string text;
    const auto status = processor_.Decode(ids, &text);
    if (!status.ok()) throw DataError(fmt::format("ids cannot be decoded: {}", status.message()));
    return text;
  }

  std::string model_, fingerprint_;
  TokenizerRoles roles_;
  sentencepiece::SentencePieceProcessor processor_;
  Matcher control_;
  bool legacy_, add_bos_ = false, add_eos_ = false;
  int32_t bos_ = -1, eos_ = -1, pad_ = -1;
};

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece(std::string model, const std::string& name,
                                              const TokenizerRoles& roles) {
  return std::make_unique<SentencePieceTokenizer>(std::move(model), name, roles);
}

}  // namespace lethe
