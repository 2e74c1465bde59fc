// metrics.jsonl: one JSON object a line, on disk as soon as it is appended.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lethe {

class MetricsLog {
 public:
  // An empty file at `path`, in place of one that may be there. Throws IoError.
  static MetricsLog create(const std::string& path);

  // The file at `path` with only the lines whose "step" is at most `step` (lines without the key stay), so
  // that a resumed run's log is the uninterrupted run's. A last line that was cut short is dropped. The rest
  // replaces the file by a rename, so that a crash here loses nothing. A missing file is an empty one. Throws
  // FormatError naming the line that is not JSON, IoError.
  static MetricsLog resume(const std::string& path, int64_t step);

  MetricsLog(MetricsLog&& other) noexcept;
  MetricsLog& operator=(MetricsLog&&) = delete;
  ~MetricsLog();

  // Appends the object as one line, written in one call. Throws IoError (a full disk, say).
  void append(const nlohmann::json& object);

 private:
  MetricsLog(std::string path, int flags);

  std::string path_;
  int descriptor_ = -1;
};

}  // namespace lethe
