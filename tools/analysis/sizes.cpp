// The same data and methods at several widths.
#include <fmt/format.h>

#include <cmath>
#include <set>

#include "tools/analysis/analysis.h"
#include "tools/analysis/draw.h"

namespace lethe::analysis {
namespace {

struct Sized {
  const Panel* panel = nullptr;
  double duration = unknown;
  std::vector<Condition> methods;
  std::map<std::pair<std::string, int64_t>, Cell> cells;  // by method's label and width
  std::set<int64_t> widths;
};

// A wider model's base may have been trained for longer; all else is as usual.
Sized sized_of(const Grid& grid, const Panel& panel) {
  Sized found{.panel = &panel};
  std::map<std::string, std::map<int64_t, Condition>> by_method;
  for (const Run& run : grid.records().runs) {
    if (run.family != panel.family || run.target != panel.target) continue;
    if (!run.is_full() && run.method != "lora") continue;
    const bool usual_width = text_on(Setting::width, run) == grid.usual(panel, Setting::width);
    if (!(usual_width ? grid.is_usual(run) : grid.is_usual(run, {Setting::width, Setting::base_tokens})))
      continue;
    Condition& c = by_method[label_of(run)][run.width];
    c.label = label_of(run);
    if (!c.like) c.like = &run;
    c.runs.push_back(&run);
  }
  found.methods = grid.main_conditions(panel);
  // The duration that most widths have; of several the longest.
  std::map<double, std::set<int64_t>> widths_at;
  for (const auto& [label, widths] : by_method)
    for (const auto& [width, condition] : widths)
      for (const Cell& at : grid.cells(panel, condition)) widths_at[at.duration].insert(width);
  for (const auto& [duration, widths] : widths_at)
    if (widths.size() >= found.widths.size()) found.widths = widths, found.duration = duration;
  for (const auto& [label, widths] : by_method)
    for (const auto& [width, condition] : widths)
      for (const Cell& at : grid.cells(panel, condition))
        if (at.duration == found.duration) found.cells[{label, width}] = at;
  return found;
}

std::vector<Line> lines_of(const Grid& grid, const Sized& sized, const Measure& measure) {
  std::vector<Line> lines;
  for (const Condition& method : sized.methods) {
    Line line{.look = method.look};
    for (const int64_t width : sized.widths) {
      const auto at = sized.cells.find({method.label, width});
      if (at == sized.cells.end()) continue;
      const Estimate e = estimate_of(grid.gains(at->second, measure));
      if (e.known()) line.dots.push_back({static_cast<double>(width), scaled(e, measure.unit())});
    }
    if (!line.dots.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

void add_rows(const Grid& grid, const Sized& sized, Table& table) {
  for (const auto& [key, at] : sized.cells) {
    std::vector<std::string> row{sized.panel->family,        sized.panel->target,  key.first,
                                 std::to_string(key.second), cell(sized.duration), cell(at.learning_rate)};
    add_estimate(row, estimate_of(grid.gains(at, sized.panel->learning.front())));
    add_estimate(row, estimate_of(grid.gains(at, sized.panel->forgetting.front())));
    table.rows.push_back(std::move(row));
  }
}

// How far each LoRA is from full fine-tuning at each width.
std::string words_of(const Grid& grid, const Sized& sized) {
  std::string words;
  const Measure &learning = sized.panel->learning.front(), &forgetting = sized.panel->forgetting.front();
  for (const int64_t width : sized.widths) {
    const auto full = sized.cells.find({"full", width});
    if (full == sized.cells.end()) continue;
    words += fmt::format("{}width {}: ", words.empty() ? "" : "; ", width);
    bool first = true;
    for (const Condition& method : sized.methods) {
      const auto at = sized.cells.find({method.label, width});
      if (method.like->is_full() || at == sized.cells.end()) continue;
      words += fmt::format(
          "{}{} learned {} and forgot {} less than full", first ? "" : ", ", method.label,
          with_interval(difference(grid.gains(full->second, learning), grid.gains(at->second, learning)), 3,
                        learning.unit()),
          with_interval(difference(grid.gains(full->second, forgetting), grid.gains(at->second, forgetting)),
                        3, forgetting.unit()));
      first = false;
    }
  }
  return fmt::format("{} after {}: {}. ", sized.panel->name(), duration_words(*sized.panel, sized.duration),
                     words);
}

}  // namespace

Analysis size_analysis(const Grid& grid) {
  Analysis found{.name = "size", .title = "Model size"};
  found.table.columns = {"family", "target", "method", "width", "duration", "learning_rate"};
  add_estimate_columns(found.table.columns, "learned");
  add_estimate_columns(found.table.columns, "forgotten");
  std::vector<Sized> all;
  for (const Panel& panel : grid.panels()) {
    Sized sized = sized_of(grid, panel);
    if (sized.widths.size() < 2) continue;
    found.words += words_of(grid, sized);
    add_rows(grid, sized, found.table);
    all.push_back(std::move(sized));
  }
  if (all.empty()) {
    found.words = "The file has models of one width only.";
    return found;
  }
  found.words = "The same data, methods and duration at several widths. " + found.words;
  found.figure = sheet(2 * all.size(), 2, 560, 350, [&](report::Svg& svg, size_t i, const report::Box& box) {
    const Sized& sized = all[i / 2];
    const Measure& m = i % 2 == 0 ? sized.panel->learning.front() : sized.panel->forgetting.front();
    const std::vector<Line> lines = lines_of(grid, sized, m);
    std::vector<double> widths;
    for (const int64_t width : sized.widths) widths.push_back(static_cast<double>(width));
    draw_panel(svg, box, sized.panel->name(),
               marked_axis("Width of the model (hidden size)", widths,
                           [](double w) { return fmt::format("{:g}", w); }),
               axis_of((i % 2 == 0 ? "Learned: " : "Forgotten: ") + m.axis(), lines, {0}), lines);
  });
  return found;
}

}  // namespace lethe::analysis
