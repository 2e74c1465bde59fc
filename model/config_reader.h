// One JSON object of a configuration file: typed values by key, with errors that name file, key and value.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lethe {

class ConfigReader {
 public:
  // `prefix` stands before a key in messages ("rope_scaling."). The object must outlive the reader. Throws
  // FormatError if it is none.
  ConfigReader(std::string file, const nlohmann::json& object, std::string prefix = "");

  const std::string& file() const { return file_; }

  // The value, or null if the key is absent or null.
  const nlohmann::json* find(const char* key) const;
  bool has(const char* key) const { return find(key) != nullptr; }
  // The same, but a null that stands there is found.
  const nlohmann::json* find_or_null(const char* key) const;

  // A value of the type and range, or nothing if absent or null. Throw FormatError for any other value.
  std::optional<int64_t> whole(const char* key, int64_t least, int64_t most) const;
  std::optional<double> number(const char* key) const;    // finite
  std::optional<double> positive(const char* key) const;  // finite, above 0
  std::optional<bool> truth(const char* key) const;
  std::optional<std::string> text(const char* key) const;

  // The same, but the key must be there.
  int64_t require_whole(const char* key, int64_t least, int64_t most) const;
  double require_positive(const char* key) const;

  // Throws FormatError: "FILE: KEY: VALUE what_is_wrong".
  [[noreturn]] void refuse(const std::string& key, const std::string& what_is_wrong) const;

 private:
  std::string file_;
  const nlohmann::json& object_;
  std::string prefix_;
};

}  // namespace lethe
