#include "data/tokenizer/json.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <unordered_set>

#include "engine/error.h"

namespace lethe {
namespace {

constexpr int deepest = 64;

// Builds the document while it counts the depth and holds each object's keys against those before.
class Strict {
 public:
  explicit Strict(const std::string& path) : path_(path) {}

  bool operator()(int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > deepest) throw FormatError(path_, "", fmt::format("nested deeper than {}", deepest));
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(value.get_ref<const std::string&>()).second) {
      throw FormatError(path_, value.get<std::string>(), "the key is there twice");
    }
    return true;
  }

 private:
  const std::string& path_;
  std::vector<std::unordered_set<std::string>> keys_;
};

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& path) {
  Strict strict(path);
  try {
    return nlohmann::json::parse(
        text, [&strict](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
          return strict(depth, event, value);
        });
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(path, "", fmt::format("not valid JSON: {}", error.what()));
  }
}

nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(path + ": no such file, or it cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return parse_json(text, path);
}

void JsonPlace::refuse(const std::string& what_is_wrong) const {
  throw FormatError(file_, path_, what_is_wrong);
}

void JsonPlace::require_object() const {
  if (!is_object()) refuse(fmt::format("an object expected, found {}", value_->type_name()));
}

std::optional<JsonPlace> JsonPlace::find(const std::string& key) const {
  require_object();
  const auto found = value_->find(key);
  if (found == value_->end()) return {};
  return JsonPlace(*found, file_, path_.empty() ? key : path_ + "." + key);
}

JsonPlace JsonPlace::at(const std::string& key) const {
  const auto found = find(key);
  if (!found) refuse(fmt::format("no key \"{}\"", key));
  return *found;
}

std::vector<JsonPlace> JsonPlace::elements() const {
  if (!is_array()) refuse(fmt::format("a list expected, found {}", value_->type_name()));
  std::vector<JsonPlace> list;
  for (size_t i = 0; i < value_->size(); ++i)
    list.emplace_back((*value_)[i], file_, fmt::format("{}[{}]", path_, i));
  return list;
}

std::vector<std::pair<std::string, JsonPlace>> JsonPlace::members() const {
  require_object();
  std::vector<std::pair<std::string, JsonPlace>> list;
  for (const auto& [key, value] : value_->items())
    list.emplace_back(key, JsonPlace(value, file_, path_ + "." + key));
  return list;
}

const std::string& JsonPlace::string() const {
  if (!is_string()) refuse(fmt::format("a string expected, found {}", value_->type_name()));
  return value_->get_ref<const std::string&>();
}

bool JsonPlace::boolean() const {
  if (!value_->is_boolean()) refuse(fmt::format("true or false expected, found {}", value_->type_name()));
  return value_->get<bool>();
}

int64_t JsonPlace::integer(int64_t least, int64_t most) const {
  if (!value_->is_number_integer())
    refuse(fmt::format("a whole number expected, found {}", value_->type_name()));
  const bool beyond =
      value_->is_number_unsigned() && value_->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (beyond || value_->get<int64_t>() < least || value_->get<int64_t>() > most) {
    refuse(fmt::format("must be from {} to {}, is {}", least, most, value_->dump()));
  }
  return value_->get<int64_t>();
}

bool JsonPlace::boolean_or(const std::string& key, bool otherwise) const {
  const auto found = find(key);
  return found && !found->is_null() ? found->boolean() : otherwise;
}

std::string JsonPlace::string_or(const std::string& key, const std::string& otherwise) const {
  const auto found = find(key);
  return found && !found->is_null() ? found->string() : otherwise;
}

}  // namespace lethe
