// OUTPUT/results.jsonl as report/results.h reads it: one object a line.
#pragma once

#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lethe {

class ResultsLog {
 public:
  // Creates the file. Throws IoError.
  explicit ResultsLog(const std::string& path);
  // Throws IoError.
  void add(const nlohmann::json& line);

 private:
  std::string path_;
  std::ofstream file_;
};

}  // namespace lethe
