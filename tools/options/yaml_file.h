// A YAML configuration as a flat list of dotted keys.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "tools/options/option_table.h"

namespace lethe {

struct YamlEntry {
  std::string key;  // an option, or a key inside a path_or_map option
  YAML::Node value;
  std::string where;  // "run.yaml:12"
};

// Nested maps become dotted keys; anchors, aliases and merge keys (<<) work; a key given twice, in one map or
// in both spellings, is refused. `file` is the name to use in messages. Throws FormatError for text that is
// not YAML, ConfigError for unknown or repeated keys.
std::vector<YamlEntry> flatten_yaml(const std::string& text, const std::string& file,
                                    const OptionTable& table);

}  // namespace lethe
