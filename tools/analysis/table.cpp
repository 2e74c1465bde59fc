#include <fmt/format.h>

#include <cmath>

#include "tools/analysis/analysis.h"

namespace lethe::analysis {
namespace {

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string safe = "\"";
  for (const char c : text) safe.append(c == '"' ? 2 : 1, c);
  safe += '"';
  return safe;
}

std::string line_of(const std::vector<std::string>& cells) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += ',';
    line += quoted(cells[i]);
  }
  line += '\n';
  return line;
}

}  // namespace

std::string csv_of(const Table& table) {
  std::string text = line_of(table.columns);
  for (const auto& row : table.rows) text += line_of(row);
  return text;
}

std::string cell(double value) {
  return std::isnan(value) ? "" : fmt::format("{:.6g}", value);
}

void add_estimate(std::vector<std::string>& row, const Estimate& estimate) {
  row.push_back(cell(estimate.value));
  row.push_back(cell(estimate.over_seeds));
  row.push_back(cell(estimate.held_out));
  row.push_back(std::to_string(estimate.seeds));
}

void add_estimate_columns(std::vector<std::string>& columns, const std::string& name) {
  columns.push_back(name);
  columns.push_back(name + "_95_over_seeds");
  columns.push_back(name + "_95_held_out");
  columns.push_back(name + "_seeds");
}

}  // namespace lethe::analysis
