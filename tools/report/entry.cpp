#include "tools/report/entry.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "engine/error.h"

namespace lethe::report {

using nlohmann::json;

Entry::Entry(const json& object, const std::string& file, std::string where)
    : object_(object), file_(file), where_(std::move(where)) {
  if (!object.is_object()) fail("is not a JSON object");
}

void Entry::fail(const std::string& what) const {
  throw FormatError(file_, where_, what);
}

void Entry::wrong(const char* key, const char* wanted) const {
  fail(fmt::format("key \"{}\" must be {}, not {}", key, wanted, at(key).dump().substr(0, 60)));
}

const json& Entry::at(const char* key) const {
  const auto found = object_.find(key);
  if (found == object_.end()) fail(fmt::format("key \"{}\" is missing", key));
  return *found;
}

std::string Entry::text(const char* key) const {
  const json& value = at(key);
  if (!value.is_string()) wrong(key, "a string");
  return value.get<std::string>();
}

std::string Entry::text_or(const char* key, const char* if_null) const {
  return at(key).is_null() ? if_null : text(key);
}

int64_t Entry::integer(const char* key) const {
  const json& value = at(key);
  if (!value.is_number_integer()) wrong(key, "an integer");
  return value.get<int64_t>();
}

int64_t Entry::integer_or(const char* key, int64_t if_null) const {
  return at(key).is_null() ? if_null : integer(key);
}

double Entry::number(const char* key) const {
  const json& value = at(key);
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!value.is_number()) wrong(key, "a number");
  return value.get<double>();
}

bool Entry::boolean(const char* key) const {
  const json& value = at(key);
  if (!value.is_boolean()) wrong(key, "true or false");
  return value.get<bool>();
}

std::vector<double> Entry::numbers(const char* key) const {
  const json& value = at(key);
  if (!value.is_array() ||
      !std::all_of(value.begin(), value.end(), [](const json& v) { return v.is_number(); })) {
    wrong(key, "an array of numbers");
  }
  return value.get<std::vector<double>>();
}

std::vector<std::string> Entry::texts(const char* key) const {
  const json& value = at(key);
  if (!value.is_array() ||
      !std::all_of(value.begin(), value.end(), [](const json& v) { return v.is_string(); })) {
    wrong(key, "an array of strings");
  }
  return value.get<std::vector<std::string>>();
}

Entry Entry::child(const char* key) const {
  return Entry(at(key), file_, fmt::format("{}: key \"{}\"", where_, key));
}

bool Entry::has(const char* key) const {
  return object_.contains(key) && !object_.at(key).is_null();
}

}  // namespace lethe::report
