// What was learned and forgotten against the learning rate: figure S1 of the paper, with the forgetting.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/analysis/analysis.h"
#include "tools/analysis/draw.h"
#include "tools/analysis/rates.h"
#include "tools/report/numbers.h"

namespace lethe::analysis {
namespace {

struct Swept {
  const Panel* panel = nullptr;
  std::vector<RateSweep> sweeps;
};

std::vector<Line> lines_of(const Grid& grid, const Swept& swept, const Measure& measure) {
  std::vector<Line> lines;
  for (const RateSweep& sweep : swept.sweeps) {
    Line line{.look = sweep.condition.look};
    for (size_t i = 0; i < sweep.cells.size(); ++i) {
      // One that ended far worse than the base would press all others together.
      const bool off = !sweep.learned[i].known() || sweep.learned[i].value < 0;
      line.dots.push_back(
          {sweep.cells[i].learning_rate,
           off ? Estimate{} : scaled(estimate_of(grid.gains(sweep.cells[i], measure)), measure.unit())});
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

// Learning rates whose gain is at least 90% of the best one's, the best left out: the paper's measure of how
// sharp the best is.
int64_t near_best(const RateSweep& sweep, const BestRate& best) {
  const double least = 0.9 * sweep.learned[best.index].value;
  return std::count_if(sweep.learned.begin(), sweep.learned.end(),
                       [&](const Estimate& e) { return e.known() && e.value >= least; }) -
         1;
}

// False where the base was not scored: then nothing tells what a run that ended well has learned.
bool has_gains(const Swept& swept) {
  for (const RateSweep& sweep : swept.sweeps) {
    for (size_t i = 0; i < sweep.cells.size(); ++i) {
      const bool diverged = std::ranges::any_of(sweep.cells[i].runs, &Run::diverged);
      if (diverged || sweep.learned[i].known()) return true;
    }
  }
  return false;
}

std::string words_of(const Swept& swept) {
  std::string words;
  std::optional<BestRate> full;
  for (const RateSweep& sweep : swept.sweeps) {
    const auto best = best_rate(sweep);
    if (!best) continue;
    const bool is_full = sweep.condition.like->is_full();
    if (is_full) full = best;
    const bool edge = std::isnan(best->half_width);
    words += fmt::format("{}{} learns most at {}{}", words.empty() ? "" : "; ", sweep.condition.label,
                         report::scientific(std::pow(10, best->exponent)),
                         edge ? ", the edge of what was tried or beside a divergence" : "");
    if (!is_full && full)
      words +=
          fmt::format(", {} times full's", report::fixed(std::pow(10, best->exponent - full->exponent), 1));
    words += fmt::format(" ({} of {} other rates reach 90% of that)", near_best(sweep, *best),
                         sweep.cells.size() - 1);
  }
  return fmt::format("{} after {}: {}. ", swept.panel->name(),
                     duration_words(*swept.panel, swept.sweeps.front().cells.front().duration), words);
}

void add_rows(const Grid& grid, const Swept& swept, Table& table) {
  for (const RateSweep& sweep : swept.sweeps) {
    for (size_t i = 0; i < sweep.cells.size(); ++i) {
      const Cell& at = sweep.cells[i];
      std::vector<std::string> row{swept.panel->family,    swept.panel->target,
                                   sweep.condition.label,  cell(at.duration),
                                   cell(at.learning_rate), sweep.learned[i].known() ? "false" : "true"};
      add_estimate(row, sweep.learned[i]);
      add_estimate(row, sweep.learned[i].known()
                            ? estimate_of(grid.gains(at, swept.panel->forgetting.front()))
                            : Estimate{});
      table.rows.push_back(std::move(row));
    }
  }
}

report::Drawing draw(const Grid& grid, const std::vector<Swept>& all) {
  return sheet(2 * all.size(), 2, 560, 350, [&](report::Svg& svg, size_t i, const report::Box& box) {
    const Swept& swept = all[i / 2];
    const Measure& m = i % 2 == 0 ? swept.panel->learning.front() : swept.panel->forgetting.front();
    const std::vector<Line> lines = lines_of(grid, swept, m);
    std::vector<double> rates;
    for (const Line& line : lines)
      for (const Dot& dot : line.dots) rates.push_back(dot.x);
    const char* what = i % 2 == 0 ? "Learned: " : "Forgotten: ";
    draw_panel(svg, box, swept.panel->name(), marked_axis("Learning rate", rates, report::scientific),
               axis_of(what + m.axis(), lines, {0}), lines);
  });
}

}  // namespace

Analysis learning_rate_analysis(const Grid& grid) {
  Analysis found{.name = "learning_rate", .title = "Sensitivity to the learning rate"};
  found.table.columns = {"family", "target", "method", "duration", "learning_rate", "diverged"};
  add_estimate_columns(found.table.columns, "learned");
  add_estimate_columns(found.table.columns, "forgotten");
  std::vector<Swept> all;
  std::string words;
  for (const Panel& panel : grid.panels()) {
    Swept swept{&panel, rate_sweeps(grid, panel)};
    if (swept.sweeps.empty()) continue;
    if (!has_gains(swept)) {
      words += panel.name() + ": the base has no score to count from. ";
      continue;
    }
    words += words_of(swept);
    add_rows(grid, swept, found.table);
    all.push_back(std::move(swept));
  }
  if (all.empty()) {
    found.words =
        "No method of the file, with a base that was scored, was run at two learning rates of one duration.";
    return found;
  }
  found.words =
      "The best rate is the vertex of the parabola through the best of those tried and its neighbours; a "
      "cross marks a run that diverged or ended worse than the base. " +
      words;
  found.figure = draw(grid, all);
  return found;
}

}  // namespace lethe::analysis
