// Values as text: JSON of a map written in place, YAML of any value.
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "tools/options/scalar.h"
#include "tools/options/value.h"

namespace lethe {
namespace {

using Json = nlohmann::ordered_json;

// Deeper than any configuration, and the way out of an alias that contains itself.
constexpr int deepest = 16;

Json typed_scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") {  // quoted
    return text;
  }
  if (text == "true" || text == "false") {
    return text == "true";
  }
  // An integer keeps its kind only if it is written as one: 1e-5 and 10000.0 stay floating.
  if (text.find_first_of(".eE") == std::string::npos) {
    if (const auto value = parse_integer(text)) {
      return *value;
    }
  }
  if (const auto value = parse_number(text)) {
    return *value;
  }
  return text;
}

Json to_json(const YAML::Node& node, const std::string& key, const std::string& where, int depth) {
  if (depth > deepest) {
    throw ConfigError(key, fmt::format("is nested more than {} levels deep ({})", deepest, where));
  }
  if (node.IsScalar()) {
    return typed_scalar(node);
  }
  if (node.IsSequence()) {
    Json list = Json::array();
    for (const YAML::Node& item : node) {
      list.push_back(to_json(item, key, where, depth + 1));
    }
    return list;
  }
  if (!node.IsMap()) {
    return nullptr;
  }
  Json map = Json::object();
  for (const auto& pair : node) {
    const std::string name = pair.first.IsScalar() ? pair.first.Scalar() : "?";
    if (map.contains(name)) {
      throw ConfigError(key + "." + name, fmt::format("given twice ({})", where));
    }
    map[name] = to_json(pair.second, key + "." + name, where, depth + 1);
  }
  return map;
}

void emit(YAML::Emitter& out, const WeightedPath& item) {
  out << YAML::BeginMap << YAML::Key << "path" << YAML::Value << item.path << YAML::Key << "weight"
      << YAML::Value << fmt::format("{}", item.weight) << YAML::EndMap;
}
void emit(YAML::Emitter& out, const NamedPath& item) {
  out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << item.name << YAML::Key << "path"
      << YAML::Value << item.path << YAML::EndMap;
}
void emit(YAML::Emitter& out, const std::string& item) {
  out << item;
}
void emit(YAML::Emitter& out, bool item) {
  out << item;
}
void emit(YAML::Emitter& out, int64_t item) {
  out << item;
}
// The shortest digits that read back as the same number.
void emit(YAML::Emitter& out, double item) {
  out << fmt::format("{}", item);
}
void emit(YAML::Emitter& out, const Duration& item) {
  out << text_of(item);
}

template <class T>
void emit(YAML::Emitter& out, const std::vector<T>& items) {
  out << YAML::BeginSeq;
  for (const T& item : items) {
    emit(out, item);
  }
  out << YAML::EndSeq;
}

}  // namespace

std::string json_of(const YAML::Node& map, const std::string& key, const std::string& where) {
  return to_json(map, key, where, 0).dump();
}

std::string json_with(const std::string& json, const std::string& path, const YAML::Node& value,
                      const std::string& key, const std::string& where) {
  Json object = json.empty() ? Json::object() : Json::parse(json);
  Json* at = &object;
  size_t begin = 0;
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', begin)) {
    at = &(*at)[path.substr(begin, dot - begin)];
    begin = dot + 1;
    if (!at->is_object() && !at->is_null()) {
      throw ConfigError(key, fmt::format("{} is not a map ({})", path.substr(0, dot), where));
    }
  }
  (*at)[path.substr(begin)] = to_json(value, key, where, 0);
  return object.dump();
}

std::string text_of(const Value& value) {
  if (const auto* either = std::get_if<PathOrMap>(&value); either && !either->json.empty()) {
    return either->json;  // JSON is YAML
  }
  YAML::Emitter out;
  out << YAML::Flow;
  std::visit(
      [&](const auto& held) {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, PathOrMap>) {
          out << held.path;
        } else {
          emit(out, held);
        }
      },
      value);
  std::string text = out.c_str();
  // The emitter breaks long lists; a line break inside a flow list is only white space.
  for (char& c : text) {
    c = c == '\n' ? ' ' : c;
  }
  return text;
}

}  // namespace lethe
