#include "tools/eval/result_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

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

}  // namespace

ResultLog::ResultLog(const std::string& file, const nlohmann::json& settings) : path_(file) {
  std::string text;
  if (std::ifstream in(file, std::ios::binary); in) text.assign(std::istreambuf_iterator<char>(in), {});
  const size_t whole = text.rfind('\n') + 1;  // 0 where there is none
  int64_t number = 0;
  for (size_t at = 0; at < whole;) {
    const size_t end = text.find('\n', at);
    nlohmann::json line = nlohmann::json::parse(text.substr(at, end - at), nullptr, false);
    at = end + 1;
    ++number;
    if (!line.is_object() || (number == 1 && line.value("format", "") != kFormat))
      throw FormatError(file, fmt::format("line {}", number), "is none of lethe eval's");
    if (number == 1) {
      require_same(file, line.value("settings", nlohmann::json::object()), settings);
    } else {
      found_.push_back(std::move(line));
    }
  }
  if (whole < text.size() && number == 0 && !text.starts_with("{\"format\""))
    throw FormatError(file, "line 1", "is none of lethe eval's");
  if (whole < text.size()) std::filesystem::resize_file(file, whole);
  const auto folder = std::filesystem::path(file).parent_path();
  std::error_code failed;
  if (!folder.empty()) std::filesystem::create_directories(folder, failed);
  file_.reset(std::fopen(file.c_str(), "ab"));
  if (!file_) throw IoError(file, fmt::format("cannot be written: {}", std::strerror(errno)));
  if (number == 0) append({{"format", kFormat}, {"settings", settings}});
}

void ResultLog::append(const nlohmann::json& line) {
  if (!file_) return;
  const std::string text = text_of(line) + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0)
    throw IoError(path_, fmt::format("cannot be written: {}", std::strerror(errno)));
}

}  // namespace lethe::eval
