// lethe report RESULTS --output DIR: a study's figures, tables and words, from its results alone.
#include "tools/analysis/report.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "tools/analysis/records.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/report/report.h"

namespace lethe {

int report_command(const std::vector<std::string>& arguments) {
  CLI::App app("Writes a study's report from its results.jsonl, the same bytes each time.", "lethe report");
  std::string results, output;
  app.add_option("RESULTS", results, "the results.jsonl of a study")->required();
  app.add_option("--output", output, "folder of the report, its figures and tables")->required();
  parse(app, arguments);

  const bool grid = analysis::is_grid_study(results);
  if (grid) {
    analysis::write_report(results, output);
  } else {
    report::write_report(results, output);
  }
  std::cout << output << (grid ? "/report.md\n" : "/report.html\n");
  return 0;
}

}  // namespace lethe
