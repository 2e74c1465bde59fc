#include "tools/options/option_table.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/error.h"
#include "tools/options/nearest.h"

namespace lethe {

std::string name_of(OptionType type) {
  switch (type) {
    case OptionType::boolean:
      return "boolean";
    case OptionType::integer:
      return "integer";
    case OptionType::number:
      return "number";
    case OptionType::text:
      return "text";
    case OptionType::path:
      return "path";
    case OptionType::duration:
      return "duration";
    case OptionType::integer_list:
      return "list of integers";
    case OptionType::number_list:
      return "list of numbers";
    case OptionType::text_list:
      return "list of text";
    case OptionType::path_list:
      return "list of paths";
    case OptionType::weighted_path_list:
      return "list of paths or {path, weight}";
    case OptionType::named_path_list:
      return "list of {name, path}";
    case OptionType::path_or_map:
      return "path or map";
  }
  return "?";
}

namespace {

std::string text_of(const Range& range) {
  const bool has_lowest = std::isfinite(range.lowest), has_highest = std::isfinite(range.highest);
  const std::string low = fmt::format("{}{}", range.excludes_lowest ? "above " : "", range.lowest);
  const std::string high = fmt::format("{}{}", range.excludes_highest ? "below " : "", range.highest);
  if (has_lowest && has_highest) {
    return low + " to " + high;
  }
  if (has_lowest) {
    return range.excludes_lowest ? low : "at least " + low;
  }
  return has_highest ? (range.excludes_highest ? high : "at most " + high) : "any";
}

std::string text_of(const Choices& choices) {
  std::string text;
  for (size_t i = 0; i < choices.values.size(); ++i) {
    text += i == 0 ? "" : i + 1 == choices.values.size() ? " or " : ", ";
    text += choices.values[i];
  }
  return text;
}

}  // namespace

std::string allowed_text(const Option& option) {
  if (const auto* range = std::get_if<Range>(&option.allowed)) {
    return (option.type == OptionType::weighted_path_list ? "weights " : "") + text_of(*range);
  }
  if (const auto* choices = std::get_if<Choices>(&option.allowed)) {
    return text_of(*choices);
  }
  return "any";
}

std::string requirement(const Option& option) {
  const bool no_article = option.type == OptionType::text;
  std::string text = option.type == OptionType::boolean   ? "true or false"
                     : option.type == OptionType::integer ? "an integer"
                     : option.type == OptionType::duration
                         ? "a duration such as \"1000 steps\", \"2 epochs\" or "
                           "\"5e6 tokens\""
                     : no_article ? name_of(option.type)
                                  : "a " + name_of(option.type);
  if (!std::holds_alternative<AnyValue>(option.allowed)) {
    text += ", " + allowed_text(option);
  }
  return option.unit.empty() ? text : text + " (" + option.unit + ")";
}

OptionTable::OptionTable(std::string name, std::string title, std::vector<Option> options)
    : name_(std::move(name)), title_(std::move(title)), options_(std::move(options)) {}

const Option* OptionTable::find(std::string_view name) const {
  for (const Option& option : options_) {
    if (option.name == name) {
      return &option;
    }
  }
  return nullptr;
}

const Option* OptionTable::find_map_around(std::string_view name) const {
  for (const Option& option : options_) {
    if (option.type == OptionType::path_or_map && name.starts_with(option.name + ".")) {
      return &option;
    }
  }
  return nullptr;
}

bool OptionTable::has_group(std::string_view group) const {
  const std::string prefix = std::string(group) + ".";
  for (const Option& option : options_) {
    if (option.name.starts_with(prefix)) {
      return true;
    }
  }
  return false;
}

void OptionTable::refuse_unknown(const std::string& key, const std::string& where) const {
  std::vector<std::string> names;
  for (const Option& option : options_) {
    names.push_back(option.name);
  }
  throw ConfigError(key, fmt::format("unknown option; did you mean {}? ({})", nearest(key, names), where));
}

}  // namespace lethe
