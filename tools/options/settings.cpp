#include "tools/options/settings.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/error.h"
#include "tools/options/yaml_file.h"

namespace lethe {

Settings::Settings(const OptionTable& table) : table_(&table) {
  for (const Option& option : table.options()) {
    entries_[option.name] = {parse_value(option, option.default_text, "default"), "default"};
  }
}

void Settings::read_file(const std::string& file) {
  if (std::filesystem::is_directory(file)) {
    throw RequestError(file + ": is a folder, not a configuration");
  }
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (!stream || (stream.peek() != EOF && !(text << stream.rdbuf()))) {
    throw RequestError(fmt::format("{}: cannot be read: {}", file, std::strerror(errno)));
  }
  read_text(text.str(), file);
}

void Settings::read_text(const std::string& yaml, const std::string& name) {
  for (const YamlEntry& given : flatten_yaml(yaml, name, *table_)) {
    if (const Option* option = table_->find(given.key)) {
      entries_[option->name] = {parse_value(*option, given.value, given.where), given.where};
    } else {
      set_inside(*table_->find_map_around(given.key), given.key, given.value, given.where);
    }
  }
}

void Settings::set(const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw ConfigError(assignment, "--set needs key=value");
  }
  const std::string key = assignment.substr(0, equals), text = assignment.substr(equals + 1);
  const std::string where = "--set " + assignment;
  if (const Option* option = table_->find(key)) {
    entries_[option->name] = {parse_value(*option, text, where), where};
  } else if (const Option* map = table_->find_map_around(key)) {
    try {
      set_inside(*map, key, YAML::Load(text), where);
    } catch (const YAML::Exception& error) {
      throw ConfigError(key, fmt::format("'{}' is not YAML: {} ({})", text, error.msg, where));
    }
  } else if (table_->has_group(key)) {
    throw ConfigError(key, fmt::format("is a group of options, not an option ({})", where));
  } else {
    table_->refuse_unknown(key, where);
  }
}

void Settings::set_inside(const Option& map, const std::string& key, const YAML::Node& value,
                          const std::string& where) {
  Entry& held = entries_[map.name];
  const auto& before = std::get<PathOrMap>(held.value);
  if (!before.path.empty()) {
    throw ConfigError(key, fmt::format("{} is the file {}; only a map written in place can be changed ({})",
                                       map.name, before.path, where));
  }
  const std::string inside = key.substr(map.name.size() + 1);
  held = {PathOrMap{"", json_with(before.json, inside, value, key, where)}, where};
}

const Settings::Entry& Settings::entry(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    throw std::logic_error("no such option: " + std::string(name));
  }
  return found->second;
}

void Settings::refuse(std::string_view name, const std::string& what_is_wrong) const {
  const Entry& held = entry(name);
  throw ConfigError(std::string(name),
                    fmt::format("{}; got {} ({})", what_is_wrong, text_of(held.value), held.source));
}

std::string Settings::as_yaml() const {
  std::string text;
  for (const Option& option : table_->options()) {
    text += fmt::format("{}: {}\n", option.name, text_of(entry(option.name).value));
  }
  return text;
}

}  // namespace lethe
