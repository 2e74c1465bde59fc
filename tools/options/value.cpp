#include "tools/options/value.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "engine/error.h"
#include "tools/options/scalar.h"

namespace lethe {
namespace {

// What a node looks like in a message.
std::string shown(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) {
    return "nothing";
  }
  if (node.IsScalar()) {
    return "'" + node.Scalar() + "'";
  }
  return node.IsMap() ? "a map" : "a list";
}

class Reader {
 public:
  Reader(const Option& option, const std::string& where) : option_(option), where_(where) {}

  [[noreturn]] void refuse(const std::string& got) const {
    throw ConfigError(option_.name,
                      fmt::format("must be {}; got {} ({})", requirement(option_), got, where_));
  }

  const std::string& scalar(const YAML::Node& node) const {
    if (!node.IsDefined() || !node.IsScalar()) {
      refuse(shown(node));
    }
    return node.Scalar();
  }

  bool boolean(const YAML::Node& node) const {
    const std::optional<bool> value = parse_boolean(scalar(node));
    return value ? *value : (refuse(shown(node)), false);
  }
  int64_t integer(const YAML::Node& node) const {
    const std::optional<int64_t> value = parse_integer(scalar(node));
    if (!value) {
      refuse(shown(node));
    }
    check_range(static_cast<double>(*value), node);
    return *value;
  }
  double number(const YAML::Node& node) const {
    const std::optional<double> value = parse_number(scalar(node));
    if (!value) {
      refuse(shown(node));
    }
    check_range(*value, node);
    return *value;
  }
  std::string text(const YAML::Node& node) const {
    const std::string& value = scalar(node);
    const auto* choices = std::get_if<Choices>(&option_.allowed);
    if (choices &&
        std::find(choices->values.begin(), choices->values.end(), value) == choices->values.end()) {
      refuse(shown(node));
    }
    return value;
  }
  Duration duration(const YAML::Node& node) const {
    Duration value;
    if (!parse_duration(scalar(node), value)) {
      refuse(shown(node));
    }
    check_range(value.count, node);
    return value;
  }

  WeightedPath weighted_path(const YAML::Node& node) const {
    if (node.IsScalar()) {
      return {non_empty(node), 1};
    }
    const Fields fields = fields_of(node, "weight");
    return {non_empty(fields.path), fields.other.IsDefined() ? number(fields.other) : 1.0};
  }
  NamedPath named_path(const YAML::Node& node) const {
    const Fields fields = fields_of(node, "name");
    if (!fields.other.IsDefined()) {
      refuse("an entry without a name");
    }
    return {non_empty(fields.other), non_empty(fields.path)};
  }
  PathOrMap path_or_map(const YAML::Node& node) const {
    if (node.IsMap()) {
      return {"", json_of(node, option_.name, where_)};
    }
    return {scalar(node), ""};
  }

  // A scalar stands for a list of one.
  template <class T>
  std::vector<T> list(const YAML::Node& node, T (Reader::*item)(const YAML::Node&) const) const {
    std::vector<T> values;
    if (node.IsScalar()) {
      values.push_back((this->*item)(node));
      return values;
    }
    if (!node.IsSequence()) {
      refuse(shown(node));
    }
    for (const YAML::Node& entry : node) {
      values.push_back((this->*item)(entry));
    }
    return values;
  }

 private:
  struct Fields {
    YAML::Node path, other{YAML::NodeType::Undefined};
  };

  void check_range(double value, const YAML::Node& node) const {
    const auto* range = std::get_if<Range>(&option_.allowed);
    if (range && !range->contains(value)) {
      refuse(shown(node));
    }
  }
  std::string non_empty(const YAML::Node& node) const {
    return scalar(node).empty() ? (refuse("an empty text"), "") : scalar(node);
  }
  // The fields of {path: ..., OTHER: ...}; the path is required, any third key refused.
  Fields fields_of(const YAML::Node& node, const std::string& other) const {
    if (!node.IsMap()) {
      refuse("a list with " + shown(node) + " in it");
    }
    Fields fields;
    bool has_path = false, has_other = false;
    for (const auto& pair : node) {
      const std::string key = scalar(pair.first);
      bool& has = key == "path" ? has_path : has_other;
      if ((key != "path" && key != other) || has) {
        refuse(fmt::format("an entry with {} key '{}'", has ? "a second" : "the unknown", key));
      }
      has = true;
      (key == "path" ? fields.path : fields.other).reset(pair.second);
    }
    if (!has_path) {
      refuse("an entry without a path");
    }
    return fields;
  }

  const Option& option_;
  const std::string& where_;
};

bool is_list(OptionType type) {
  switch (type) {
    case OptionType::integer_list:
    case OptionType::number_list:
    case OptionType::text_list:
    case OptionType::path_list:
    case OptionType::weighted_path_list:
    case OptionType::named_path_list:
      return true;
    default:
      return false;
  }
}

YAML::Node split_at_commas(const std::string& text) {
  YAML::Node list(YAML::NodeType::Sequence);
  size_t begin = 0;
  while (begin <= text.size() && !text.empty()) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    list.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return list;
}

}  // namespace

Value parse_value(const Option& option, const YAML::Node& node, const std::string& where) {
  const Reader reader(option, where);
  switch (option.type) {
    case OptionType::boolean:
      return reader.boolean(node);
    case OptionType::integer:
      return reader.integer(node);
    case OptionType::number:
      return reader.number(node);
    case OptionType::text:
    case OptionType::path:
      return reader.text(node);
    case OptionType::duration:
      return reader.duration(node);
    case OptionType::integer_list:
      return reader.list(node, &Reader::integer);
    case OptionType::number_list:
      return reader.list(node, &Reader::number);
    case OptionType::text_list:
    case OptionType::path_list:
      return reader.list(node, &Reader::text);
    case OptionType::weighted_path_list:
      return reader.list(node, &Reader::weighted_path);
    case OptionType::named_path_list:
      return reader.list(node, &Reader::named_path);
    case OptionType::path_or_map:
      return reader.path_or_map(node);
  }
  throw ConfigError(option.name, "has no known type");
}

Value parse_value(const Option& option, const std::string& text, const std::string& where) {
  const bool in_yaml = !text.empty() && (text[0] == '[' || text[0] == '{');
  if (in_yaml && (is_list(option.type) || option.type == OptionType::path_or_map)) {
    try {
      return parse_value(option, YAML::Load(text), where);
    } catch (const YAML::Exception& error) {
      throw ConfigError(option.name, fmt::format("'{}' is not YAML: {} ({})", text, error.msg, where));
    }
  }
  return parse_value(option, is_list(option.type) ? split_at_commas(text) : YAML::Node(text), where);
}

}  // namespace lethe
