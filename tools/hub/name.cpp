#include "tools/hub/name.h"

#include <algorithm>
#include <array>

namespace lethe {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_part(std::string_view text) {
  return !text.empty() && is_word(text.front()) && is_word(text.back()) &&
         std::ranges::all_of(text, [](char c) { return is_word(c) || c == '-' || c == '.'; });
}

// What git allows is wider; this much names every branch, tag and request without leaving the folder of refs.
bool is_revision(std::string_view text) {
  return !text.empty() && text.size() <= 200 && text.find("..") == std::string_view::npos &&
         text.find("//") == std::string_view::npos && is_word(text.front()) && is_word(text.back()) &&
         std::ranges::all_of(
             text, [](char c) { return is_word(c) || c == '-' || c == '.' || c == '/' || c == '+'; });
}

// What is a file's name rather than a model's.
bool names_a_file(std::string_view text) {
  constexpr std::array endings{".yaml", ".yml", ".json", ".jsonl", ".model", ".safetensors", ".txt"};
  return std::ranges::any_of(endings, [&](const char* ending) { return text.ends_with(ending); });
}

}  // namespace

std::optional<HubName> parse_hub_name(std::string_view text) {
  HubName name;
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    name.revision = text.substr(at + 1);
    if (!is_revision(name.revision)) return std::nullopt;
    text = text.substr(0, at);
  }
  constexpr size_t longest = 96;
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  if (const size_t second = text.find('/', slash + 1); second != std::string_view::npos) {
    name.file = text.substr(second + 1);
    if (!is_part(name.file) || !name.file.ends_with(".gguf")) return std::nullopt;
    text = text.substr(0, second);
  }
  if (text.size() > longest) return std::nullopt;
  if (!is_part(text.substr(0, slash)) || !is_part(text.substr(slash + 1))) return std::nullopt;
  if (text.find("--") != std::string_view::npos || text.find("..") != std::string_view::npos ||
      text.ends_with(".git") || names_a_file(text))
    return std::nullopt;
  name.repository = text;
  return name;
}

bool is_commit(std::string_view revision) {
  return revision.size() == 40 && std::ranges::all_of(revision, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace lethe
