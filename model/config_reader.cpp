#include "model/config_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/error.h"
#include "engine/files/json_file.h"

namespace lethe {

using nlohmann::json;

ConfigReader::ConfigReader(std::string file, const json& object, std::string prefix)
    : file_(std::move(file)), object_(object), prefix_(std::move(prefix)) {
  if (!object.is_object()) {
    const std::string where = prefix_.empty() ? "" : prefix_.substr(0, prefix_.size() - 1);
    throw FormatError(file_, where, "must be a JSON object, is " + short_text(object));
  }
}

const json* ConfigReader::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

const json* ConfigReader::find_or_null(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &*found;
}

std::optional<int64_t> ConfigReader::whole(const char* key, int64_t least, int64_t most) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool fits =
      value->is_number_integer() && !(value->is_number_unsigned() && value->get<uint64_t>() >> 63);
  if (!fits || value->get<int64_t>() < least || value->get<int64_t>() > most) {
    refuse(key, fmt::format("is not a whole number from {} to {}", least, most));
  }
  return value->get<int64_t>();
}

std::optional<double> ConfigReader::number(const char* key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) refuse(key, "is not a number");
  return value->get<double>();
}

std::optional<double> ConfigReader::positive(const char* key) const {
  const auto value = number(key);
  if (value && *value <= 0) refuse(key, "must be above 0");
  return value;
}

std::optional<bool> ConfigReader::truth(const char* key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) refuse(key, "is neither true nor false");
  return value->get<bool>();
}

std::optional<std::string> ConfigReader::text(const char* key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse(key, "is not a string");
  return value->get<std::string>();
}

int64_t ConfigReader::require_whole(const char* key, int64_t least, int64_t most) const {
  const auto value = whole(key, least, most);
  if (!value) refuse(key, "is missing");
  return *value;
}

double ConfigReader::require_positive(const char* key) const {
  const auto value = positive(key);
  if (!value) refuse(key, "is missing");
  return *value;
}

void ConfigReader::refuse(const std::string& key, const std::string& what_is_wrong) const {
  const auto found = object_.find(key);
  const std::string value = found == object_.end() ? "" : short_text(*found) + " ";
  throw FormatError(file_, prefix_ + key, value + what_is_wrong);
}

}  // namespace lethe
