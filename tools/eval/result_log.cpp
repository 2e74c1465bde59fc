#include "tools/eval/result_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "engine/error.h"

namespace lethe::eval {
namespace {

constexpr const char* kFormat = "lethe-eval-1";

std::string text_of(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void require_same(const std::string& file, const nlohmann::json& before, const nlohmann::json& now) {
  for (const auto& [key, value] : now.items()) {
    const nlohmann::json was = before.contains(key) ? before.at(key) : nlohmann::json();
    if (was == value) continue;
    throw ConfigError("output", fmt::format("{} was begun with {} {}, now it is {}: name another file", file,
                                            key, text_of(was), text_of(value)));
  }
}

struct Content {
  std::optional<nlohmann::json> settings;  // absent: the file is not there, or without a whole line
  std::vector<nlohmann::json> lines;
  size_t whole = 0, size = 0;  // bytes: up to the end of the last whole line, and all
};

Content content_of(const std::string& file) {
  Content found;
  std::string text;
  if (std::ifstream in(file, std::ios::binary); in) text.assign(std::istreambuf_iterator<char>(in), {});
  found.size = text.size();
  found.whole = text.rfind('\n') + 1;  // 0 where there is none
  int64_t number = 0;
  for (size_t at = 0; at < found.whole;) {
    const size_t end = text.find('\n', at);
    nlohmann::json line = nlohmann::json::parse(text.substr(at, end - at), nullptr, false);
    at = end + 1;
    ++number;
    if (!line.is_object() || (number == 1 && line.value("format", "") != kFormat))
      throw FormatError(file, fmt::format("line {}", number), "is none of lethe eval's");
    if (number == 1) {
      found.settings = line.value("settings", nlohmann::json::object());
    } else {
      found.lines.push_back(std::move(line));
    }
  }
  if (found.whole < found.size && number == 0 && !text.starts_with("{\"format\""))
    throw FormatError(file, "line 1", "is none of lethe eval's");
  return found;
}

}  // namespace

void read_result_file(const std::string& file, nlohmann::json& settings, std::vector<nlohmann::json>& lines) {
  Content content = content_of(file);
  if (!content.settings) throw IoError(file, "is not there, or empty");
  settings = std::move(*content.settings);
  lines = std::move(content.lines);
}

ResultLog::ResultLog(const std::string& file, const nlohmann::json& settings) : path_(file) {
  const Content content = content_of(file);
  if (content.settings) require_same(file, *content.settings, settings);
  found_ = content.lines;
  if (content.whole < content.size) std::filesystem::resize_file(file, content.whole);
  const auto folder = std::filesystem::path(file).parent_path();
  std::error_code failed;
  if (!folder.empty()) std::filesystem::create_directories(folder, failed);
  file_.reset(std::fopen(file.c_str(), "ab"));
  if (!file_) throw IoError(file, fmt::format("cannot be written: {}", std::strerror(errno)));
  if (!content.settings) append({{"format", kFormat}, {"settings", settings}});
}

void ResultLog::append(const nlohmann::json& line) {
  if (!file_) return;
  const std::string text = text_of(line) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0)
    throw IoError(path_, fmt::format("cannot be written: {}", std::strerror(errno)));
}

}  // namespace lethe::eval
