#include "tools/study/results_log.h"

#include <nlohmann/json.hpp>

#include "engine/error.h"

namespace lethe {

ResultsLog::ResultsLog(const std::string& path) : path_(path), file_(path, std::ios::trunc) {
  if (!file_) throw IoError(path, "cannot be written");
}

void ResultsLog::add(const nlohmann::json& line) {
  file_ << line.dump() << "\n" << std::flush;
  if (!file_) throw IoError(path_, "cannot be written");
}

}  // namespace lethe
