#include "tools/run/chat_files.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/files/file_replacement.h"
#include "engine/files/json_file.h"
#include "tools/options/value.h"

namespace lethe {
namespace {

constexpr const char* file_name = "lethe_chat.json";

// JSON is YAML too, but its own reader names what is wrong better.
nlohmann::json read_object(const std::string& file) {
  const std::string text = read_text(file);
  if (file.ends_with(".json")) return parse_json(file, text);
  try {
    const YAML::Node node = YAML::Load(text);
    if (!node.IsMap()) throw FormatError(file, "", "a chat template is a map of keys");
    return nlohmann::json::parse(json_of(node, "chat template", file));
  } catch (const YAML::Exception& error) {
    throw FormatError(file, fmt::format("line {}", error.mark.line + 1), error.msg);
  }
}

}  // namespace

ChatTemplate open_chat_template(const std::string& name_or_file) {
  const std::vector<std::string> names = ChatTemplate::names();
  const bool known = std::find(names.begin(), names.end(), name_or_file) != names.end();
  if (known || !std::filesystem::exists(name_or_file)) return ChatTemplate::built_in(name_or_file);
  return ChatTemplate::from_json(read_object(name_or_file), name_or_file);
}

void write_chat_template(const std::string& folder, const ChatTemplate& chat) {
  const nlohmann::json json = {{"template", chat.json()}, {"hash", chat.hash()}};
  replace_file(folder + "/" + file_name, json.dump(2) + "\n");
}

std::optional<ChatTemplate> read_chat_template(const std::string& folder) {
  const std::string file = folder + "/" + file_name;
  if (!std::filesystem::exists(file)) return {};
  const nlohmann::json json = parse_json(file, read_text(file));
  if (!json.is_object() || !json.contains("template") || !json.contains("hash")) {
    throw FormatError(file, "", "an object with template and hash expected");
  }
  ChatTemplate chat = ChatTemplate::from_json(json["template"], file);
  if (json["hash"] != chat.hash()) {
    throw FormatError(file, "hash",
                      fmt::format("is {}, that of the template is {}", json["hash"].dump(), chat.hash()));
  }
  return chat;
}

ChatTemplate chat_template_of(const std::string& folder, const std::string& asked) {
  const std::optional<ChatTemplate> trained = read_chat_template(folder);
  if (asked.empty()) {
    if (trained) return *trained;
    throw ConfigError("chat_template",
                      fmt::format("{} has no {}; name the template it was trained with", folder, file_name));
  }
  ChatTemplate chat = open_chat_template(asked);
  if (trained && !(*trained == chat)) {
    throw ConfigError("chat_template",
                      fmt::format("{} was trained with {} (hash {}), asked for is {} (hash {})", folder,
                                  trained->name(), trained->hash(), chat.name(), chat.hash()));
  }
  return chat;
}

}  // namespace lethe
