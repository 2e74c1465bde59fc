// The values of a table's options, all checked, and where each came from.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tools/options/option_table.h"
#include "tools/options/value.h"

namespace lethe {

class Settings {
 public:
  // All defaults. The table must outlive this object.
  explicit Settings(const OptionTable& table);

  // Takes the options that a YAML file gives. Throws RequestError if it cannot be read, FormatError if it is
  // not YAML, ConfigError for an unknown or repeated key, a wrong type or a value out of range.
  void read_file(const std::string& file);
  // The same from text; `name` stands for the file in messages.
  void read_text(const std::string& yaml, const std::string& name);
  // Takes one "key=value". Throws ConfigError.
  void set(const std::string& assignment);

  // The value, as the type that its OptionType says; any other type or name is a mistake of the caller's and
  // throws std::logic_error.
  template <class T>
  const T& get(std::string_view name) const {
    const T* value = std::get_if<T>(&entry(name).value);
    if (!value) {
      throw std::logic_error("option read as another type: " + std::string(name));
    }
    return *value;
  }
  const Value& value(std::string_view name) const { return entry(name).value; }

  // "default", "run.yaml:12" or "--set lora.rank=8".
  const std::string& source(std::string_view name) const { return entry(name).source; }
  bool is_default(std::string_view name) const { return source(name) == "default"; }

  // A ConfigError about an option's value, with the value and where it came from.
  [[noreturn]] void refuse(std::string_view name, const std::string& what_is_wrong) const;

  // Every option on a line of its own; read_text gives the same values back.
  std::string as_yaml() const;

  const OptionTable& table() const { return *table_; }

 private:
  struct Entry {
    Value value;
    std::string source;
  };

  const Entry& entry(std::string_view name) const;
  void set_inside(const Option& map, const std::string& key, const YAML::Node& value,
                  const std::string& where);

  const OptionTable* table_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace lethe
