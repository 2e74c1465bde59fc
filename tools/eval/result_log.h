// Results of single documents, a JSON object a line, written as they come: what was interrupted goes on from
// there.
#pragma once

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lethe::eval {

class ResultLog {
 public:
  // Keeps nothing.
  ResultLog() = default;
  // Goes on with `file`, or begins it with a line that holds `settings`: all that the results depend on.
  // Half a line at the end, of a run that was killed, is cut off. Throws ConfigError naming the setting if
  // the file was begun with others, FormatError if it is no such file, IoError.
  ResultLog(const std::string& file, const nlohmann::json& settings);

  // The lines that were there.
  const std::vector<nlohmann::json>& found() const { return found_; }
  // Throws IoError.
  void append(const nlohmann::json& line);

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::vector<nlohmann::json> found_;
};

// Reads the settings and the lines of such a file; half a line at the end is left out. Throws IoError,
// FormatError.
void read_result_file(const std::string& file, nlohmann::json& settings, std::vector<nlohmann::json>& lines);

}  // namespace lethe::eval
