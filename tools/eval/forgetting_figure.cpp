#include "tools/eval/forgetting_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "tools/report/plot.h"
#include "tools/report/png.h"
#include "tools/report/style.h"

namespace lethe::eval {
namespace {

using namespace report;

constexpr double kPlot = 400, kRow = 30, kRight = 230, kTop = 14, kAxis = 62;

struct Row {
  Change change;
  bool is_average = false;
};

// Of a task's metrics the last: acc_norm where there is one.
std::vector<Row> rows_of(const Forgetting& forgetting, bool decides) {
  std::vector<Row> rows;
  for (const Change& change : forgetting.changes) {
    if (change.decides != decides) continue;
    if (!rows.empty() && rows.back().change.task == change.task) rows.pop_back();
    rows.push_back({change});
  }
  if (decides && forgetting.average) rows.push_back({*forgetting.average, true});
  return rows;
}

std::string words_of(const Change& c) {
  std::string words = fmt::format("{:.3f} → {:.3f}", c.base, c.tuned);
  if (!c.lost.empty() || !c.gained.empty())
    words += fmt::format(", {} lost, {} gained", c.lost.size(), c.gained.size());
  return words;
}

// Draws the rows below `top`; returns the height used. Values are multiplied by `unit`.
double draw_panel(Svg& svg, const std::vector<Row>& rows, double left, double top, double unit,
                  const std::string& title) {
  std::vector<double> ends{0};
  for (const Row& row : rows) {
    for (const double end : row.change.error.interval) ends.push_back(-unit * end);
    ends.push_back(-unit * row.change.forgotten);
  }
  const Axis x = axis_over(title, Scale::linear, ends, 7);
  const double height = kRow * static_cast<double>(rows.size());
  const Axis y{.title = "", .range = {0, 1}};
  const Frame frame({left, top, left + kPlot, top + height}, x, y);
  frame.draw(svg, true, false);
  svg.line({frame.x(0), top}, {frame.x(0), top + height}, "axis");
  for (size_t i = 0; i < rows.size(); ++i) {
    const Change& c = rows[i].change;
    const double at = top + kRow * (static_cast<double>(i) + 0.5);
    const std::string color = rows[i].is_average ? "c1" : "c0";
    const std::string style = rows[i].is_average ? "panel-title" : "label";
    svg.text({left - 12, at + 4}, Anchor::end, style, c.task);
    if (!std::isnan(c.error.standard_error))
      svg.line({frame.x(-unit * c.error.interval[1]), at}, {frame.x(-unit * c.error.interval[0]), at},
               "line " + color);
    svg.marker(rows[i].is_average ? Marker::diamond : Marker::circle, {frame.x(-unit * c.forgotten), at}, 5,
               "mark " + color,
               fmt::format("{} {}: {:+.4f}, 95% {:+.4f} to {:+.4f}", c.task, c.metric, -c.forgotten,
                           -c.error.interval[1], -c.error.interval[0]));
    svg.text({left + kPlot + 14, at + 4}, Anchor::start, "note", words_of(c));
  }
  return height + kAxis;
}

}  // namespace

Drawing forgetting_figure(const Forgetting& forgetting) {
  const std::vector<Row> scores = rows_of(forgetting, true), losses = rows_of(forgetting, false);
  double left = 100;
  for (const auto* rows : {&scores, &losses}) {
    for (const Row& row : *rows) left = std::max(left, text_width(row.change.task, font_size) + 28);
  }
  Svg svg;
  double top = kTop;
  if (!scores.empty()) {
    top += draw_panel(svg, scores, left, top, 100,
                      "Change of the score in points, 95% of paired resamplings (left of 0: forgotten)");
  }
  if (!losses.empty())
    top += draw_panel(svg, losses, left, top, 1, "Change of the loss, bits a byte (left of 0: forgotten)");
  return {left + kPlot + kRight, top, svg.body()};
}

void write_forgetting_figure(const std::string& folder, const Forgetting& forgetting,
                             const std::string& title) {
  const std::string path = folder + "/forgetting";
  replace_file(path + ".svg", standalone_svg(forgetting_figure(forgetting), title));
  if (!convert_to_png(path + ".svg", path + ".png"))
    log::warning(
        "no forgetting.png: the program rsvg-convert is missing (Debian and Ubuntu package librsvg2-bin)");
}

}  // namespace lethe::eval
