// OUTPUT/results.jsonl: the lines of all finished jobs, those of one together and its "job" line last.
#pragma once

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace lethe::grid {

// Where a run ended, as JSON: null of what its line does not tell.
struct RunEnd {
  nlohmann::json step, tokens;
};

class Journal {
 public:
  // Reads what is there; what a kill left of an unfinished job is cut off. Throws FormatError, IoError.
  explicit Journal(const std::string& path);

  bool empty() const { return !begun_; }
  bool finished(const std::string& job) const;
  // The last loss of `text` that a job's run came to; NaN: it diverged, or there is none.
  double loss(const std::string& job, const std::string& text) const;
  RunEnd end_of(const std::string& job) const;
  // Appends at once. The last line has kind "job", or it is the study's own.
  void append(const std::vector<nlohmann::json>& lines);

 private:
  void take(const nlohmann::json& line);

  std::string path_;
  mutable std::mutex mutex_;
  bool begun_ = false;
  std::set<std::string> finished_;
  std::map<std::string, double> losses_;
  std::map<std::string, RunEnd> ends_;  // by job
};

}  // namespace lethe::grid
