#include "tools/study/grid/journal.h"

#include <filesystem>
#include <fstream>
#include <limits>

#include "engine/error.h"

namespace lethe::grid {

using nlohmann::json;

Journal::Journal(const std::string& path) : path_(path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return;
  std::vector<json> waiting;
  uintmax_t read = 0, whole = 0;
  for (std::string line; std::getline(file, line) && !file.eof();) {
    read += line.size() + 1;
    try {
      waiting.push_back(json::parse(line));
      const std::string kind = waiting.back().at("kind");
      if (kind != "job" && kind != "study") continue;
    } catch (const json::exception& e) {
      throw FormatError(path, "", e.what());
    }
    for (const json& w : waiting) take(w);
    waiting.clear();
    whole = read;
  }
  file.close();
  if (std::filesystem::file_size(path) != whole) std::filesystem::resize_file(path, whole);
}

void Journal::take(const json& line) {
  const std::string kind = line.at("kind");
  if (kind == "study") begun_ = true;
  if (kind == "job") finished_.insert(line.at("job"));
  if (kind == "run")
    ends_[line.at("job")] = {.step = line.at("steps"), .tokens = line.value("tokens", json())};
  if (kind == "score" && line.at("metric") == "loss") {
    losses_[line.at("job").get<std::string>() + "\n" + line.at("name").get<std::string>()] =
        line.at("value").is_number() ? line.at("value").get<double>()
                                     : std::numeric_limits<double>::quiet_NaN();
  }
}

bool Journal::finished(const std::string& job) const {
  const std::lock_guard lock(mutex_);
  return finished_.contains(job);
}

double Journal::loss(const std::string& job, const std::string& text) const {
  const std::lock_guard lock(mutex_);
  const auto found = losses_.find(job + "\n" + text);
  return found == losses_.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

RunEnd Journal::end_of(const std::string& job) const {
  const std::lock_guard lock(mutex_);
  const auto found = ends_.find(job);
  return found == ends_.end() ? RunEnd{} : found->second;
}

void Journal::append(const std::vector<json>& lines) {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const json& line : lines) text += line.dump() + "\n";
  std::ofstream file(path_, std::ios::app | std::ios::binary);
  file << text << std::flush;
  if (!file) throw IoError(path_, "cannot be written");
  for (const json& line : lines) take(line);
}

}  // namespace lethe::grid
