// What a benchmark came to, and how people and programs read it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lethe::eval {

struct Metric {
  std::string name;
  double value = 0;
  double standard_error = 0;  // NaN: there is none
};

struct Summary {
  std::string task;
  std::optional<int64_t> shots = 0;  // nothing: of several benchmarks
  int64_t documents = 0;
  std::string file;  // of the documents, where it matters which
  std::vector<Metric> metrics;
  std::vector<Summary> parts;  // by subject
};

nlohmann::json json_of(const Summary& summary);

// One line a metric.
std::string table_of(const std::vector<Summary>& summaries);

}  // namespace lethe::eval
