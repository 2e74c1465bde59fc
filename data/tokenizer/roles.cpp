#include "data/tokenizer/roles.h"

#include <fmt/format.h>

#include <filesystem>

#include "data/atomic_file.h"
#include "data/tokenizer/json.h"

namespace lethe {
namespace {

// A token is a string or an added token's object; null says nothing.
std::optional<std::string> token(const JsonPlace& config, const char* key) {
  const auto value = config.find(key);
  if (!value || value->is_null()) return {};
  return value->is_object() ? value->at("content").string() : value->string();
}

std::optional<bool> choice(const JsonPlace& config, const char* key) {
  const auto value = config.find(key);
  if (!value || value->is_null()) return {};
  return value->boolean();
}

}  // namespace

TokenizerRoles read_roles(const std::string& folder) {
  TokenizerRoles roles;
  roles.file = (std::filesystem::path(folder) / "tokenizer_config.json").string();
  if (!std::filesystem::exists(roles.file)) return roles;
  const nlohmann::json text = read_json(roles.file);
  roles.text = text.dump(2) + "\n";
  const JsonPlace config(text, roles.file, "");
  config.require_object();
  roles.bos = token(config, "bos_token");
  roles.eos = token(config, "eos_token");
  roles.unk = token(config, "unk_token");
  roles.pad = token(config, "pad_token");
  roles.add_bos = choice(config, "add_bos_token");
  roles.add_eos = choice(config, "add_eos_token");
  roles.legacy = choice(config, "legacy");
  if (const auto name = config.find("tokenizer_class"); name && !name->is_null()) {
    roles.tokenizer_class = name->string();
  }
  if (const auto added = config.find("added_tokens_decoder"); added && !added->is_null()) {
    for (const auto& [id, entry] : added->members()) {
      char* end = nullptr;
      const long value = std::strtol(id.c_str(), &end, 10);
      if (id.empty() || *end != '\0' || value < 0 || value > largest_token_id) {
        added->refuse(fmt::format("\"{}\" is no token id", id));
      }
      roles.added[entry.at("content").string()] = static_cast<int32_t>(value);
    }
  }
  return roles;
}

void write_roles(const TokenizerRoles& roles, const std::string& folder) {
  nlohmann::ordered_json config = nlohmann::ordered_json::object();
  const auto put = [&](const char* key, const auto& value) {
    if (value) config[key] = *value;
  };
  put("bos_token", roles.bos);
  put("eos_token", roles.eos);
  put("unk_token", roles.unk);
  put("pad_token", roles.pad);
  put("add_bos_token", roles.add_bos);
  put("add_eos_token", roles.add_eos);
  put("legacy", roles.legacy);
  if (!roles.tokenizer_class.empty()) config["tokenizer_class"] = roles.tokenizer_class;
  const std::string text = roles.text.empty() ? config.dump(2) + "\n" : roles.text;
  AtomicFile file((std::filesystem::path(folder) / "tokenizer_config.json").string());
  file.write(text.data(), text.size());
  file.commit();
}

}  // namespace lethe
