#include "tools/metrics/metrics_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "engine/error.h"

namespace lethe {
namespace {

[[noreturn]] void fail(const std::string& path) {
  throw IoError(path, std::strerror(errno));
}

void write_all(int descriptor, const std::string& text, const std::string& path) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(descriptor, text.data() + done, text.size() - done);
    if (written < 0 && errno != EINTR) fail(path);
    if (written > 0) done += static_cast<size_t>(written);
  }
}

bool belongs(const std::string& line, int64_t step, const std::string& path, int64_t number) {
  try {
    const auto object = nlohmann::json::parse(line);
    return !object.contains("step") || object.at("step").get<int64_t>() <= step;
  } catch (const nlohmann::json::exception& error) {
    throw FormatError(path, fmt::format("line {}", number), error.what());
  }
}

// What of the file's text belongs to a run that stands at `step`.
std::string kept_lines(const std::string& text, int64_t step, const std::string& path) {
  std::string kept;
  int64_t number = 0;
  size_t begin = 0;
  for (size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    if (belongs(line, step, path, ++number)) kept += line + "\n";
  }
  return kept;
}

// Beside `path`, synced, then in its place.
void replace(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) fail(temporary);
  try {
    write_all(descriptor, text, temporary);
    if (::fsync(descriptor) != 0) fail(temporary);
  } catch (...) {
    ::close(descriptor);
    ::unlink(temporary.c_str());
    throw;
  }
  ::close(descriptor);
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail(path);
}

}  // namespace

MetricsLog::MetricsLog(std::string path, int flags) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0644);
  if (descriptor_ < 0) fail(path_);
}

MetricsLog::MetricsLog(MetricsLog&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

MetricsLog::~MetricsLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

MetricsLog MetricsLog::create(const std::string& path) {
  return MetricsLog(path, O_TRUNC);
}

MetricsLog MetricsLog::resume(const std::string& path, int64_t step) {
  if (std::filesystem::exists(path)) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) throw IoError(path, "cannot be read");
    replace(path, kept_lines(text.str(), step, path));
  }
  return MetricsLog(path, 0);
}

void MetricsLog::append(const nlohmann::json& object) {
  write_all(descriptor_, object.dump() + "\n", path_);
}

}  // namespace lethe
