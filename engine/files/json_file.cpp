#include "engine/files/json_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "engine/error.h"

namespace lethe {

using nlohmann::json;

json parse_json(const std::string& file, std::string_view text) {
  // The library takes a NUL for the end of the text and would not look at what follows it.
  if (text.find('\0') != std::string_view::npos) throw FormatError(file, "", "is not JSON: holds a NUL byte");
  std::vector<std::unordered_set<std::string>> open_objects;
  const auto note_keys = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == json::parse_event_t::object_end) open_objects.pop_back();
    if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second) throw FormatError(file, key, "the key stands there twice");
    }
    return true;
  };
  try {
    return json::parse(text, note_keys);
  } catch (const json::exception& error) {
    throw FormatError(file, "", fmt::format("is not JSON: {}", error.what()));
  }
}

std::string short_text(const json& value) {
  constexpr size_t limit = 60;
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > limit) text = text.substr(0, limit) + "…";
  return text;
}

}  // namespace lethe
