// The analyses of a grid study: each one figure, one table, and words whose numbers are computed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/analysis/grid.h"
#include "tools/report/svg.h"

namespace lethe::analysis {

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

// RFC 4180: quoted where needed; lines end with "\n".
std::string csv_of(const Table& table);
// Six significant digits; "" for NaN.
std::string cell(double value);
// value, interval over seeds and over held-out text (half widths), seeds: four cells and their column names.
void add_estimate(std::vector<std::string>& row, const Estimate& estimate);
void add_estimate_columns(std::vector<std::string>& columns, const std::string& name);

// Without a figure there was nothing to analyse, and the words say what is missing.
struct Analysis {
  std::string name;  // of its files: "learning"
  std::string title;
  std::string words;  // Markdown
  std::optional<report::Drawing> figure;
  Table table;
};

Analysis learning_analysis(const Grid& grid);
Analysis forgetting_analysis(const Grid& grid);
Analysis plane_analysis(const Grid& grid);
Analysis regularisation_analysis(const Grid& grid);
Analysis diversity_analysis(const Grid& grid);
Analysis layer_rank_analysis(const Grid& grid);
Analysis change_rank_analysis(const Grid& grid);
Analysis intruder_analysis(const Grid& grid);
Analysis learning_rate_analysis(const Grid& grid);
Analysis modules_analysis(const Grid& grid);
Analysis alpha_analysis(const Grid& grid);
Analysis variants_analysis(const Grid& grid);
Analysis mitigation_analysis(const Grid& grid);
Analysis base_analysis(const Grid& grid);
Analysis size_analysis(const Grid& grid);
Analysis cost_analysis(const Grid& grid);

// All of them, in the report's order.
std::vector<Analysis> analyses_of(const Grid& grid);

// "4.2M tokens", "4 epochs".
std::string duration_words(const Panel& panel, double duration);

}  // namespace lethe::analysis
