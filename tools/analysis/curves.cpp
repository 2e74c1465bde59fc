// Learning and forgetting against how long was trained: figures 1 and 2 of the paper.
#include <fmt/format.h>

#include <cmath>

#include "tools/analysis/analysis.h"
#include "tools/analysis/draw.h"
#include "tools/report/numbers.h"

namespace lethe::analysis {
namespace {

using report::fixed;

struct Curves {
  const Panel* panel = nullptr;
  Measure measure;
  double base = unknown;
  std::vector<Line> lines;
  std::vector<std::vector<Cell>> cells;
};

Curves curves_of(const Grid& grid, const Panel& panel, const Measure& measure) {
  Curves found{.panel = &panel, .measure = measure};
  for (const Condition& condition : grid.main_conditions(panel)) {
    Line line{.look = condition.look};
    std::vector<Cell> cells = grid.cells(panel, condition);
    std::erase_if(cells, [&](const Cell& c) { return !estimate_of(grid.values(c, measure)).known(); });
    for (const Cell& c : cells)
      line.dots.push_back({c.duration, scaled(estimate_of(grid.values(c, measure)), measure.unit())});
    if (cells.empty()) continue;
    if (std::isnan(found.base)) found.base = grid.base_score(*cells.front().runs.front(), measure);
    found.lines.push_back(std::move(line));
    found.cells.push_back(std::move(cells));
  }
  return found;
}

std::vector<Curves> all_curves(const Grid& grid, Role role) {
  std::vector<Curves> found;
  for (const Panel& panel : grid.panels()) {
    for (const Measure& m : role == Role::learning ? panel.learning : panel.forgetting) {
      Curves curves = curves_of(grid, panel, m);
      if (!curves.lines.empty()) found.push_back(std::move(curves));
    }
  }
  return found;
}

report::Drawing draw(const std::vector<Curves>& all) {
  const bool one = all.size() == 1;
  return sheet(all.size(), 2, one ? 680 : 560, one ? 420 : 350,
               [&](report::Svg& svg, size_t i, const report::Box& box) {
                 const Curves& c = all[i];
                 std::vector<double> durations;
                 for (const Line& line : c.lines)
                   for (const Dot& dot : line.dots) durations.push_back(dot.x);
                 const double base = c.measure.unit() * c.base;
                 draw_panel(svg, box, c.panel->name(), duration_axis(durations, c.panel->by_epochs),
                            axis_of(c.measure.axis(), c.lines, {base}), c.lines, base);
               });
}

Table table_of(const Grid& grid, const std::vector<Curves>& all, const char* gained) {
  Table table{.columns = {"family", "target", "measure", "method", "duration", "unit", "learning_rate"}};
  add_estimate_columns(table.columns, "value");
  table.columns.emplace_back("base");
  add_estimate_columns(table.columns, gained);
  for (const Curves& c : all) {
    for (size_t i = 0; i < c.cells.size(); ++i) {
      for (const Cell& at : c.cells[i]) {
        std::vector<std::string> row{c.panel->family,       c.panel->target,
                                     c.measure.key(),       c.lines[i].look.label,
                                     cell(at.duration),     c.panel->by_epochs ? "epochs" : "tokens",
                                     cell(at.learning_rate)};
        add_estimate(row, estimate_of(grid.values(at, c.measure)));
        row.push_back(cell(c.base));
        add_estimate(row, estimate_of(grid.gains(at, c.measure)));
        table.rows.push_back(std::move(row));
      }
    }
  }
  return table;
}

std::string words_of(const Grid& grid, const std::vector<Curves>& all) {
  std::string words;
  for (const Curves& c : all) {
    const std::vector<Cell> shared = at_longest_shared(c.cells);
    if (shared.empty()) continue;
    const double unit = c.measure.unit();
    const int decimals = c.measure.is_loss() ? 3 : 1;
    words +=
        fmt::format("{}, {} after {}{}: ", c.panel->name(), c.measure.axis(),
                    duration_words(*c.panel, shared.front().duration),
                    std::isfinite(c.base) ? fmt::format(" (base {})", fixed(unit * c.base, decimals)) : "");
    for (size_t i = 0; i < shared.size(); ++i) {
      const Estimate e = estimate_of(grid.values(shared[i], c.measure));
      words += fmt::format("{}{} {}{}", i == 0 ? "" : ", ", c.lines[i].look.label,
                           with_interval(e, decimals, unit),
                           std::isnan(e.half_width()) ? "" : fmt::format(" {}", e.source()));
    }
    words += ". ";
  }
  return words;
}

Analysis analysis_of(const Grid& grid, Role role, const char* missing) {
  const bool learning = role == Role::learning;
  Analysis found{.name = learning ? "learning" : "forgetting",
                 .title = learning ? "Learning against duration" : "Forgetting against duration"};
  const std::vector<Curves> all = all_curves(grid, role);
  if (all.empty()) {
    found.words = missing;
    return found;
  }
  found.figure = draw(all);
  found.table = table_of(grid, all, learning ? "learned" : "forgotten");
  found.words = std::string(learning ? "The score of the new domain" : "The score of the old domain") +
                " at the end of each run, every point a run of its own schedule. " + words_of(grid, all);
  return found;
}

}  // namespace

std::string duration_words(const Panel& panel, double duration) {
  if (panel.by_epochs) return fmt::format("{:g} epoch{}", duration, duration == 1 ? "" : "s");
  return short_count(duration) + " tokens";
}

Analysis learning_analysis(const Grid& grid) {
  return analysis_of(grid, Role::learning, "The file has no scores of what was learned.");
}

Analysis forgetting_analysis(const Grid& grid) {
  return analysis_of(grid, Role::forgetting, "The file has no scores of what was forgotten.");
}

}  // namespace lethe::analysis
