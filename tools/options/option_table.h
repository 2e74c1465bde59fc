// One table of options drives the YAML file, --set, --help, docs/options.md and the test that every option is
// documented and checked.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lethe {

enum class OptionType : uint8_t {
  boolean,
  integer,
  number,
  text,
  path,
  duration,
  integer_list,
  number_list,
  text_list,
  path_list,
  weighted_path_list,  // each a path, or {path: ..., weight: ...}
  named_path_list,     // each {name: ..., path: ...}
  path_or_map,         // a file, or its content written in place
};

// What a value, or each value of a list, may be. Every option states one of these.
struct AnyValue {};
struct Range {
  double lowest = -std::numeric_limits<double>::infinity();
  double highest = std::numeric_limits<double>::infinity();
  bool excludes_lowest = false, excludes_highest = false;

  bool contains(double value) const {
    return (excludes_lowest ? value > lowest : value >= lowest) &&
           (excludes_highest ? value < highest : value <= highest);
  }
};
struct Choices {
  std::vector<std::string> values;
};
using Allowed = std::variant<std::monostate, AnyValue, Range, Choices>;

inline Range at_least(double lowest) {
  return {.lowest = lowest};
}
inline Range above(double lowest) {
  return {.lowest = lowest, .excludes_lowest = true};
}
inline Range between(double lowest, double highest) {
  return {.lowest = lowest, .highest = highest};
}
inline Range from_to_below(double lowest, double highest) {
  return {.lowest = lowest, .highest = highest, .excludes_highest = true};
}

struct Option {
  std::string name;  // dotted: "lora.rank"
  OptionType type = OptionType::text;
  std::string default_text;  // as it would stand in the YAML file
  Allowed allowed;
  std::string meaning;
  std::string unit = "";  // "tokens", "GB"; empty where there is none
};

// "integer", "list of text".
std::string name_of(OptionType type);
// What a value may be, in words: "1 to 65536", "full or lora", "weights above 0", "any".
std::string allowed_text(const Option& option);
// What a value must be, in words: "an integer, 1 to 65536".
std::string requirement(const Option& option);

class OptionTable {
 public:
  OptionTable(std::string name, std::string title, std::vector<Option> options);

  const std::string& name() const { return name_; }    // "train"
  const std::string& title() const { return title_; }  // heading of its help and its page
  const std::vector<Option>& options() const { return options_; }

  // The option of that name, or nullptr.
  const Option* find(std::string_view name) const;
  // The path_or_map option that `name` lies inside ("model.config" for "model.config.hidden_size"), or
  // nullptr.
  const Option* find_map_around(std::string_view name) const;
  // Whether options begin with `group` and a dot.
  bool has_group(std::string_view group) const;
  // Throws ConfigError saying that the key is unknown and naming the nearest known one.
  [[noreturn]] void refuse_unknown(const std::string& key, const std::string& where) const;

 private:
  std::string name_, title_;
  std::vector<Option> options_;
};

}  // namespace lethe
