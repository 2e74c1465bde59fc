#include <fmt/format.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "data/tokenizer/pipeline.h"
#include "data/tokenizer/pre_names.h"
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

using Json = nlohmann::json;

Json isolated(const char* expression) {
  return {
      {"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", use_regex}};
}

}  // namespace

Json pre_tokenizer_named(const std::string& pre) {
  // The published files' own.
  constexpr const char* llama3 =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
      "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  constexpr const char* qwen2 =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
      "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const auto sequence = [](Json first, Json second) {
    return Json{{"type", "Sequence"}, {"pretokenizers", {std::move(first), std::move(second)}}};
  };
  if (pre == "gpt-2" || pre == "default" || pre.empty()) return byte_level(true);
  if (pre == "llama-bpe" || pre == "llama3" || pre == "llama-v3") {
    return sequence(isolated(llama3), byte_level(false));
  }
  if (pre == "qwen2") return sequence(isolated(qwen2), byte_level(false));
  if (pre == "smollm") return sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level(true));
  return nullptr;
}

namespace {

Json pre_tokenizer_of(const TokenizerVocabulary& v, const std::string& name) {
  Json found = pre_tokenizer_named(v.pre);
  if (!found.is_null()) return found;
  throw FormatError(name, "tokenizer.ggml.pre",
                    fmt::format("the pre-tokenizer \"{}\" is not implemented", v.pre));
}

Json frame_of(const TokenizerVocabulary& v) {
  Json single = Json::array(), tokens = Json::object();
  const auto add = [&](int32_t id) {
    const std::string& piece = v.pieces[id];
    single.push_back({{"SpecialToken", {{"id", piece}, {"type_id", 0}}}});
    tokens[piece] = {{"id", piece}, {"ids", {id}}, {"tokens", {piece}}};
  };
  if (v.add_bos && v.bos_id >= 0) add(v.bos_id);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (v.add_eos && v.eos_id >= 0) add(v.eos_id);
  if (single.size() == 1) return byte_level(false);
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", Json::array()},
          {"special_tokens", tokens}};
}

// By way of the tokenizer.json that says the same, so that there is one reading of it all, and saving writes
// what others can read.
std::unique_ptr<Tokenizer> make_gpt2(const TokenizerVocabulary& v, const std::string& name) {
  Json vocab = Json::object(), added = Json::array();
  for (size_t i = 0; i < v.pieces.size(); ++i) {
    const int32_t type = v.types.empty() ? int32_t{TokenizerVocabulary::normal} : v.types[i];
    if (type == TokenizerVocabulary::normal) {
      vocab[v.pieces[i]] = i;
    } else if (type != TokenizerVocabulary::unused) {
      added.push_back({{"id", i},
                       {"content", v.pieces[i]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", type != TokenizerVocabulary::user_defined}});
    }
  }
  const bool llama3 = v.pre.starts_with("llama");
  const Json document{
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", std::move(added)},
      {"normalizer", v.pre == "qwen2" ? Json{{"type", "NFC"}} : Json()},
      {"pre_tokenizer", pre_tokenizer_of(v, name)},
      {"post_processor", frame_of(v)},
      {"decoder",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", llama3},
        {"vocab", std::move(vocab)},
        {"merges", v.merges}}}};
  TokenizerRoles roles;
  roles.file = name;
  const auto piece = [&](int32_t id) { return id < 0 ? std::optional<std::string>() : v.pieces[id]; };
  roles.bos = piece(v.bos_id);
  roles.eos = piece(v.eos_id);
  roles.unk = piece(v.unk_id);
  roles.pad = piece(v.pad_id);
  roles.add_bos = v.add_bos;
  roles.add_eos = v.add_eos;
  roles.tokenizer_class = "PreTrainedTokenizerFast";
  return make_pipeline(document, name, roles);
}

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const TokenizerVocabulary& vocabulary, const std::string& name) {
  check(vocabulary, name);
  if (vocabulary.model == "llama") return make_llama(vocabulary, name);
  if (vocabulary.model == "gpt2") return make_gpt2(vocabulary, name);
  throw FormatError(name, "tokenizer.ggml.model", fmt::format("\"{}\" is not implemented", vocabulary.model));
}

}  // namespace lethe
