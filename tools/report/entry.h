// One JSON object of a file of lines, which says where it stands when a key is not as it must be.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lethe::report {

// Each function throws FormatError naming file, line and key for a key that is missing or of another type.
class Entry {
 public:
  // Throws FormatError unless `object` is one. Refers to `object` and `file`.
  Entry(const nlohmann::json& object, const std::string& file, std::string where);

  std::string text(const char* key) const;
  std::string text_or(const char* key, const char* if_null) const;
  int64_t integer(const char* key) const;
  int64_t integer_or(const char* key, int64_t if_null) const;
  // null: a number that was not finite, which JSON cannot write.
  double number(const char* key) const;
  bool boolean(const char* key) const;
  std::vector<double> numbers(const char* key) const;
  std::vector<std::string> texts(const char* key) const;
  Entry child(const char* key) const;
  // There, and not null.
  bool has(const char* key) const;
  const std::string& where() const { return where_; }

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void wrong(const char* key, const char* wanted) const;

 private:
  const nlohmann::json& at(const char* key) const;

  const nlohmann::json& object_;
  const std::string& file_;
  std::string where_;
};

}  // namespace lethe::report
