#include <fmt/format.h>

#include <cstring>

#include "data/tokenizer/sentencepiece.h"
#include "data/tokenizer_vocabulary.h"
#include "engine/error.h"

namespace lethe {
namespace {

// What a SentencePiece model file consists of: protocol buffers, written field by field.
class Message {
 public:
  void integer(uint32_t field, int64_t value) {
    varint(uint64_t{field} << 3);
    varint(static_cast<uint64_t>(value));
  }
  void real(uint32_t field, float value) {
    varint(uint64_t{field} << 3 | 5);
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    bytes_.append(bytes, sizeof value);
  }
  void text(uint32_t field, std::string_view value) {
    varint(uint64_t{field} << 3 | 2);
    varint(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

void check(const TokenizerVocabulary& v, const std::string& name) {
  const size_t count = v.pieces.size();
  if (count == 0) throw FormatError(name, "tokenizer.ggml.tokens", "the vocabulary is empty");
  if (!v.types.empty() && v.types.size() != count) {
    throw FormatError(name, "tokenizer.ggml.token_type",
                      fmt::format("{} types for {} pieces", v.types.size(), count));
  }
  for (const int32_t type : v.types) {
    if (type < TokenizerVocabulary::normal || type > TokenizerVocabulary::byte)
      throw FormatError(name, "tokenizer.ggml.token_type", fmt::format("{} is no type of a piece", type));
  }
  const std::pair<const char*, int32_t> ids[] = {
      {"bos", v.bos_id}, {"eos", v.eos_id}, {"unknown", v.unk_id}, {"padding", v.pad_id}};
  for (const auto& [role, id] : ids) {
    if (id < -1 || id >= static_cast<int64_t>(count)) {
      throw FormatError(name, fmt::format("tokenizer.ggml.{}_token_id", role),
                        fmt::format("{} is outside the vocabulary of {}", id, count));
    }
  }
}

// The field numbers are those of sentencepiece_model.proto.
std::unique_ptr<Tokenizer> make_llama(const TokenizerVocabulary& v, const std::string& name) {
  if (v.scores.size() != v.pieces.size()) {
    throw FormatError(name, "tokenizer.ggml.scores",
                      fmt::format("{} scores for {} pieces", v.scores.size(), v.pieces.size()));
  }
  Message model;
  bool bytes = false;
  for (size_t i = 0; i < v.pieces.size(); ++i) {
    const int32_t type = v.types.empty() ? int32_t{TokenizerVocabulary::normal} : v.types[i];
    bytes = bytes || type == TokenizerVocabulary::byte;
    Message piece;
    piece.text(1, v.pieces[i]);
    piece.real(2, v.scores[i]);
    piece.integer(3, type);
    model.text(1, piece.bytes());
  }
  Message trainer;
  trainer.integer(3, 2);  // BPE
  trainer.integer(4, static_cast<int64_t>(v.pieces.size()));
  trainer.integer(35, bytes ? 1 : 0);
  trainer.integer(40, v.unk_id);
  trainer.integer(41, v.bos_id);
  trainer.integer(42, v.eos_id);
  trainer.integer(43, v.pad_id);
  const std::pair<uint32_t, int32_t> roles[] = {
      {45, v.unk_id}, {46, v.bos_id}, {47, v.eos_id}, {48, v.pad_id}};
  for (const auto& [field, id] : roles) {
    if (id >= 0) trainer.text(field, v.pieces[id]);
  }
  model.text(2, trainer.bytes());
  Message normalizer;
  normalizer.text(1, "identity");
  normalizer.integer(3, v.add_space_prefix ? 1 : 0);
  normalizer.integer(4, v.remove_extra_whitespaces ? 1 : 0);
  normalizer.integer(5, 1);
  model.text(3, normalizer.bytes());
  TokenizerRoles roles_said;
  roles_said.add_bos = v.add_bos;
  roles_said.add_eos = v.add_eos;
  return make_sentencepiece(model.bytes(), name, roles_said);
}

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerVocabulary& vocabulary, const std::string& name) {
  check(vocabulary, name);
  if (vocabulary.model == "llama") return make_llama(vocabulary, name);
  throw FormatError(name, "tokenizer.ggml.model", fmt::format("\"{}\" is not implemented", vocabulary.model));
}

}  // namespace lethe
