#include "tools/options/yaml_file.h"

#include <fmt/format.h>

#include <map>

#include "engine/error.h"

namespace lethe {
namespace {

class Flattener {
 public:
  Flattener(const std::string& file, const OptionTable& table) : file_(file), table_(table) {}

  // `merged`: under a merge key, where what is already there stays.
  void map(const YAML::Node& node, const std::string& prefix, bool merged, int depth) {
    if (depth > deepest) {
      throw FormatError(file_, line_of(node), "an alias contains itself");
    }
    std::map<std::string, std::string> seen;
    std::vector<YAML::Node> merges;
    for (const auto& pair : node) {
      if (!pair.first.IsScalar()) {
        throw FormatError(file_, line_of(pair.first), "a key must be a word");
      }
      const std::string key = prefix + pair.first.Scalar();
      const std::string where = fmt::format("{}:{}", file_, pair.first.Mark().line + 1);
      if (const auto [first, is_new] = seen.emplace(key, where); !is_new) {
        throw ConfigError(key, fmt::format("given twice ({} and {})", first->second, where));
      }
      if (pair.first.Scalar() == "<<") {
        merges.push_back(pair.second);
      } else {
        entry(key, pair.second, where, merged, depth);
      }
    }
    for (const YAML::Node& merge : merges) {
      merge_in(merge, prefix, depth + 1);
    }
  }

  std::vector<YamlEntry> take() { return std::move(entries_); }

 private:
  static constexpr int deepest = 16;

  static std::string line_of(const YAML::Node& node) { return fmt::format("line {}", node.Mark().line + 1); }

  void entry(const std::string& key, const YAML::Node& value, const std::string& where, bool merged,
             int depth) {
    if (table_.find(key) || table_.find_map_around(key)) {
      const auto [first, is_new] = where_.emplace(key, where);
      if (is_new) {
        entries_.push_back({key, value, where});
      } else if (!merged) {
        throw ConfigError(key, fmt::format("given twice ({} and {})", first->second, where));
      }
    } else if (!table_.has_group(key)) {
      table_.refuse_unknown(key, where);
    } else if (value.IsMap()) {
      map(value, key + ".", merged, depth + 1);
    } else if (!value.IsNull()) {  // a group whose options are all commented out is nothing
      throw ConfigError(key, fmt::format("is a group of options, not an option ({})", where));
    }
  }

  // A merge key's value: a map, or a list of maps of which earlier ones win (yaml.org/type/merge.html).
  void merge_in(const YAML::Node& merge, const std::string& prefix, int depth) {
    if (merge.IsMap()) {
      map(merge, prefix, true, depth);
    } else if (merge.IsSequence() && depth <= deepest) {
      for (const YAML::Node& one : merge) {
        merge_in(one, prefix, depth + 1);
      }
    } else {
      throw FormatError(file_, line_of(merge), "<< needs a map");
    }
  }

  const std::string& file_;
  const OptionTable& table_;
  std::map<std::string, std::string> where_;  // by key: where it was first given
  std::vector<YamlEntry> entries_;
};

}  // namespace

std::vector<YamlEntry> flatten_yaml(const std::string& text, const std::string& file,
                                    const OptionTable& table) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      throw FormatError(file, "", "holds more than one YAML document");
    }
    Flattener flattener(file, table);
    if (!documents.empty() && !documents[0].IsNull()) {
      if (!documents[0].IsMap()) {
        throw FormatError(file, "line 1", "a configuration is a map of options");
      }
      flattener.map(documents[0], "", false, 0);
    }
    return flattener.take();
  } catch (const YAML::Exception& error) {
    const std::string line = error.mark.is_null() ? "" : fmt::format("line {}", error.mark.line + 1);
    throw FormatError(file, line, error.msg);
  }
}

}  // namespace lethe
