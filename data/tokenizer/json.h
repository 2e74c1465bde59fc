// A value in a JSON file together with its place, so that whatever is wrong is named by file and key.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lethe {

// No vocabulary reaches this; an id beyond it is a mistake or an attack on our memory.
inline constexpr int32_t largest_token_id = 16'000'000;

// Throws DataError when the file is not there, FormatError for what is no JSON, is nested deeper than 64 or
// names a key twice.
nlohmann::json read_json(const std::string& path);
nlohmann::json parse_json(std::string_view text, const std::string& path);

// Refers to the value; the document must outlive it. All throw FormatError when the value is not as asked.
class JsonPlace {
 public:
  JsonPlace(const nlohmann::json& value, std::string file, std::string path)
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

  const nlohmann::json& value() const { return *value_; }
  bool is_null() const { return value_->is_null(); }
  bool is_object() const { return value_->is_object(); }
  bool is_array() const { return value_->is_array(); }
  bool is_string() const { return value_->is_string(); }
  void require_object() const;

  std::optional<JsonPlace> find(const std::string& key) const;  // nothing: no such key
  JsonPlace at(const std::string& key) const;
  std::vector<JsonPlace> elements() const;
  std::vector<std::pair<std::string, JsonPlace>> members() const;

  const std::string& string() const;
  bool boolean() const;
  int64_t integer(int64_t least, int64_t most) const;
  // The member `key`, or `otherwise` where it is absent or null.
  bool boolean_or(const std::string& key, bool otherwise) const;
  std::string string_or(const std::string& key, const std::string& otherwise) const;

  [[noreturn]] void refuse(const std::string& what_is_wrong) const;

 private:
  const nlohmann::json* value_;
  std::string file_, path_;
};

}  // namespace lethe
