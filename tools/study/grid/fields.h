// The keys of one YAML map, each taken once; what nobody took is refused.
#pragma once

#include <yaml-cpp/yaml.h>

#include <set>
#include <string>
#include <vector>

#include "engine/error.h"
#include "optim/duration.h"

namespace lethe::grid {

class Fields {
 public:
  Fields(const YAML::Node& map, std::string path) : map_(merged(map)), path_(std::move(path)) {
    if (map_ && !map_.IsNull() && !map_.IsMap()) throw ConfigError(path_, "must be a map");
  }

  template <class T>
  void take(const char* key, T& value) {
    const YAML::Node node = find(key);
    if (!node) return;
    try {
      value = node.as<T>();
    } catch (const YAML::Exception&) {
      throw ConfigError(path_ + "." + key, "has a value of the wrong type: " + YAML::Dump(node));
    }
  }
  // One value stands for a list of one.
  template <class T>
  void take_list(const char* key, std::vector<T>& values) {
    const YAML::Node node = find(key);
    if (!node) return;
    try {
      if (node.IsSequence()) {
        values = node.as<std::vector<T>>();
      } else {
        values = {node.as<T>()};
      }
    } catch (const YAML::Exception&) {
      throw ConfigError(path_ + "." + key, "holds a value of the wrong type: " + YAML::Dump(node));
    }
  }
  void take(const char* key, Duration& value) {
    std::string text;
    take(key, text);
    if (!text.empty()) value = duration(key, text);
  }
  void take_list(const char* key, std::vector<Duration>& values) {
    std::vector<std::string> texts;
    take_list(key, texts);
    if (!texts.empty()) values.clear();
    for (const std::string& text : texts) values.push_back(duration(key, text));
  }
  YAML::Node find(const char* key) {
    taken_.insert(key);
    return map_.IsMap() ? map_[key] : YAML::Node(YAML::NodeType::Undefined);
  }
  // A map as YAML text, empty without.
  std::string text(const char* key) {
    const YAML::Node node = find(key);
    return node ? YAML::Dump(node) : "";
  }
  const std::string& path() const { return path_; }

  void finish() const {
    if (!map_.IsMap()) return;
    for (const auto& entry : map_) {
      const auto key = entry.first.as<std::string>();
      if (!taken_.contains(key)) throw ConfigError(path_ + "." + key, "is not known");
    }
  }

 private:
  // "<<" takes another map's entries beside the own ones.
  static YAML::Node merged(const YAML::Node& map) {
    if (!map || !map.IsMap() || !map["<<"]) return map;
    YAML::Node whole(YAML::NodeType::Map);
    for (const auto& entry : merged(map["<<"])) whole[entry.first.as<std::string>()] = entry.second;
    for (const auto& entry : map) {
      const auto key = entry.first.as<std::string>();
      if (key != "<<") whole[key] = entry.second;
    }
    return whole;
  }

  Duration duration(const char* key, const std::string& text) const {
    Duration made;
    if (!parse_duration(text, made) || made.count <= 0)
      throw ConfigError(path_ + "." + key, text + " is no length such as 2e6 tokens or 3 epochs");
    return made;
  }

  YAML::Node map_;
  std::string path_;
  std::set<std::string> taken_;
};

}  // namespace lethe::grid
