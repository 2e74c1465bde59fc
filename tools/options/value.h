// The value of an option, checked.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "optim/duration.h"
#include "tools/options/option_table.h"

namespace YAML {
class Node;
}

namespace lethe {

struct WeightedPath {
  std::string path;
  double weight = 1;
  bool operator==(const WeightedPath&) const = default;
};

struct NamedPath {
  std::string name, path;
  bool operator==(const NamedPath&) const = default;
};

// At most one of the two is set.
struct PathOrMap {
  std::string path;
  std::string json;  // the map as a JSON object
  bool operator==(const PathOrMap&) const = default;
};

// By OptionType: boolean bool, integer int64_t, number double, text and path std::string, and so on.
using Value =
    std::variant<bool, int64_t, double, std::string, Duration, std::vector<int64_t>, std::vector<double>,
                 std::vector<std::string>, std::vector<WeightedPath>, std::vector<NamedPath>, PathOrMap>;

// Reads a YAML value as `option` wants it. `where` ("run.yaml:12", "--set lora.rank=0") goes into the
// ConfigError for a wrong type or a value out of range.
Value parse_value(const Option& option, const YAML::Node& node, const std::string& where);

// The same from a command line: a list is written "a,b" or "[a, b]", {maps} as in YAML.
Value parse_value(const Option& option, const std::string& text, const std::string& where);

// A YAML mapping as JSON text, its plain scalars typed by the rules of YAML's JSON schema. `key` and `where`
// go into the ConfigError for a duplicate or an alias that contains itself.
std::string json_of(const YAML::Node& map, const std::string& key, const std::string& where);

// `json` (an object, or empty) with the value at a dotted path replaced.
std::string json_with(const std::string& json, const std::string& path, const YAML::Node& value,
                      const std::string& key, const std::string& where);

// In YAML's flow style on one line; parse_value reads the same value back.
std::string text_of(const Value& value);

}  // namespace lethe
