#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/tokenizer/json.h"
#include "data/tokenizer/pre_names.h"
#include "data/tokenizer_vocabulary.h"
#include "engine/error.h"

namespace lethe {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

// Offsets are not computed, so what trims them is no difference.
Json without_offsets(Json value) {
  if (value.is_object()) value.erase("trim_offsets");
  if (value.is_structured()) {
    for (Json& part : value) part = without_offsets(std::move(part));
  }
  return value;
}

std::string pre_name_of(const Json& document, const std::string& file) {
  const Json cut = without_offsets(document.value("pre_tokenizer", Json()));
  for (const char* name : {"llama-bpe", "qwen2", "smollm", "gpt-2"}) {
    if (cut == without_offsets(pre_tokenizer_named(name))) return name;
  }
  throw FormatError(file, "pre_tokenizer",
                    "is none of those that a GGUF file can name here: llama-bpe, qwen2, smollm, gpt-2");
}

void fill_byte_level(TokenizerVocabulary& v, const std::string& file) {
  const Json document = read_json(file);
  const Json model = document.value("model", Json::object());
  if (model.value("type", Json("BPE")) != Json("BPE") ||
      model.value("byte_fallback", Json(false)) == Json(true)) {
    throw FormatError(file, "model", "is no byte-level BPE, and there is no tokenizer.model");
  }
  v.model = "gpt2";
  v.pre = pre_name_of(document, file);
  const auto put = [&](int64_t id, const std::string& piece, int32_t type) {
    if (id < 0 || id >= largest_token_id) throw FormatError(file, piece, fmt::format("{} is no id", id));
    if (std::ssize(v.pieces) <= id) {
      v.pieces.resize(static_cast<size_t>(id) + 1);
      v.types.resize(v.pieces.size(), 0);
    }
    v.pieces[static_cast<size_t>(id)] = piece;
    v.types[static_cast<size_t>(id)] = type;
  };
  for (const auto& [piece, id] : model.at("vocab").items()) put(id.get<int64_t>(), piece, v.normal);
  for (const Json& token : document.value("added_tokens", Json::array())) {
    put(token.at("id").get<int64_t>(), token.at("content").get<std::string>(),
        token.value("special", false) ? v.control : v.user_defined);
  }
  for (const Json& merge : model.at("merges")) {
    v.merges.push_back(merge.is_string()
                           ? merge.get<std::string>()
                           : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>());
  }
}

void fill_sentencepiece(TokenizerVocabulary& v, const std::string& file) {
  sentencepiece::SentencePieceProcessor model;
  if (!model.Load(file).ok()) throw FormatError(file, "", "not a SentencePiece model");
  v.model = "llama";
  v.pre = "default";
  for (int id = 0; id < model.GetPieceSize(); ++id) {
    v.pieces.push_back(model.IdToPiece(id));
    v.scores.push_back(model.GetScore(id));
    v.types.push_back(model.IsUnknown(id)   ? v.unknown
                      : model.IsControl(id) ? v.control
                      : model.IsUnused(id)  ? v.unused
                      : model.IsByte(id)    ? v.byte
                                            : v.normal);
  }
}

}  // namespace

TokenizerVocabulary read_vocabulary(const std::string& folder, int64_t size) {
  const std::string json = (fs::path(folder) / "tokenizer.json").string(),
                    model = (fs::path(folder) / "tokenizer.model").string();
  const auto tokenizer = open_tokenizer(folder);
  TokenizerVocabulary v;
  try {
    if (fs::exists(model)) {
      fill_sentencepiece(v, model);
    } else {
      fill_byte_level(v, json);
    }
  } catch (const Json::exception& error) {
    throw FormatError(json, "", error.what());
  }
  if (std::ssize(v.pieces) > size) {
    throw FormatError(folder, "vocab_size",
                      fmt::format("the tokenizer has {} pieces, the model {}", v.pieces.size(), size));
  }
  v.types.resize(static_cast<size_t>(size), 0);
  v.pieces.resize(v.types.size());
  if (v.model == "llama") v.scores.resize(v.types.size(), -1000);
  for (size_t id = 0; id < v.pieces.size(); ++id) {
    if (v.types[id] != 0) continue;
    v.pieces[id] = fmt::format("[PAD{}]", id);
    v.types[id] = v.unused;
  }
  v.bos_id = tokenizer->bos_id();
  v.eos_id = tokenizer->eos_id();
  v.unk_id = tokenizer->unk_id();
  v.pad_id = tokenizer->pad_id();
  v.add_bos = !tokenizer->prefix_ids().empty();
  v.add_eos = !tokenizer->suffix_ids().empty();
  return v;
}

}  // namespace lethe
