#include "tools/run/model_tokenizer.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/tokenizer_vocabulary.h"
#include "engine/error.h"
#include "engine/files/file_replacement.h"
#include "engine/files/gguf.h"
#include "engine/files/json_file.h"
#include "model/weights/gguf_model.h"
#include "tools/hub/model.h"

namespace lethe {
namespace {

const std::string prefix = "tokenizer.ggml.";

TokenizerVocabulary vocabulary_of(const GgufFile& file) {
  TokenizerVocabulary v;
  v.model = file.text(prefix + "model").value_or("");
  v.pre = file.text(prefix + "pre").value_or("");
  v.pieces = file.texts(prefix + "tokens");
  for (const double score : file.reals(prefix + "scores")) v.scores.push_back(static_cast<float>(score));
  for (const int64_t type : file.integers(prefix + "token_type"))
    v.types.push_back(static_cast<int32_t>(type));
  v.merges = file.texts(prefix + "merges");
  const auto id = [&](const char* role) {
    return static_cast<int32_t>(file.integer(prefix + role + "_token_id").value_or(-1));
  };
  v.bos_id = id("bos");
  v.eos_id = id("eos");
  v.unk_id = id("unknown");
  v.pad_id = id("padding");
  const bool adds_bos = v.model == "llama" || v.pre.starts_with("llama");
  v.add_bos = file.flag(prefix + "add_bos_token").value_or(adds_bos);
  v.add_eos = file.flag(prefix + "add_eos_token").value_or(false);
  v.add_space_prefix = file.flag(prefix + "add_space_prefix").value_or(true);
  v.remove_extra_whitespaces = file.flag(prefix + "remove_extra_whitespaces").value_or(false);
  return v;
}

// chat_template.jinja, or what tokenizer_config.json holds.
std::optional<std::string> chat_template_in(const std::string& folder) {
  const std::filesystem::path jinja = std::filesystem::path(folder) / "chat_template.jinja",
                              config = std::filesystem::path(folder) / "tokenizer_config.json";
  if (std::filesystem::exists(jinja)) return read_text(jinja.string());
  if (!std::filesystem::exists(config)) return std::nullopt;
  const nlohmann::json said = parse_json(config.string(), read_text(config.string()));
  if (!said.is_object() || !said.contains("chat_template") || !said["chat_template"].is_string())
    return std::nullopt;
  return said["chat_template"].get<std::string>();
}

}  // namespace

std::unique_ptr<Tokenizer> open_model_tokenizer(const std::string& name) {
  const std::string path = local_model(name, HubPart::tokenizer);
  return is_gguf(path) ? make_tokenizer(vocabulary_of(GgufFile(path)), path) : open_tokenizer(path);
}

void save_gguf_side_files(const std::string& path, const std::string& folder) {
  const GgufFile file(path);
  if (file.texts(prefix + "tokens").empty()) return;
  make_tokenizer(vocabulary_of(file), path)->save(folder);
  if (const auto chat = file.text("tokenizer.chat_template"))
    replace_file((std::filesystem::path(folder) / "chat_template.jinja").string(), *chat);
}

std::vector<GgufKey> gguf_tokenizer_keys(const std::string& model, int64_t vocab_size) {
  namespace fs = std::filesystem;
  TokenizerVocabulary v;
  std::optional<std::string> chat;
  if (is_gguf(model)) {
    const GgufFile file(model);
    v = vocabulary_of(file);
    chat = file.text("tokenizer.chat_template");
    if (v.pieces.empty()) return {};
  } else {
    if (!fs::exists(fs::path(model) / "tokenizer.json") && !fs::exists(fs::path(model) / "tokenizer.model"))
      return {};
    v = read_vocabulary(model, vocab_size);
    chat = chat_template_in(model);
  }
  std::vector<GgufKey> keys;
  const auto add = [&](const char* name, GgufValue value) {
    keys.push_back({prefix + name, std::move(value)});
  };
  add("model", v.model);
  add("pre", v.pre);
  add("tokens", v.pieces);
  if (v.model == "llama") add("scores", std::vector<double>(v.scores.begin(), v.scores.end()));
  add("token_type", std::vector<int64_t>(v.types.begin(), v.types.end()));
  if (v.model == "gpt2") add("merges", v.merges);
  const std::pair<const char*, int32_t> roles[] = {{"bos_token_id", v.bos_id},
                                                   {"eos_token_id", v.eos_id},
                                                   {"unknown_token_id", v.unk_id},
                                                   {"padding_token_id", v.pad_id}};
  for (const auto& [name, id] : roles) {
    if (id >= 0) add(name, static_cast<uint64_t>(id));
  }
  add("add_bos_token", v.add_bos);
  add("add_eos_token", v.add_eos);
  if (v.model == "llama") add("add_space_prefix", v.add_space_prefix);
  if (chat) keys.push_back({"tokenizer.chat_template", *chat});
  return keys;
}

}  // namespace lethe
