// Rows of intervals, the labels left of them and the numbers beside.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/analysis/draw.h"
#include "tools/report/numbers.h"
#include "tools/report/style.h"

namespace lethe::analysis {
namespace {

using namespace report;

constexpr double kRow = 24, kTop = 16, kBottom = 52, kPlot = 330, kGap = 34;

double widest(const std::vector<Row>& rows, std::string Row::*text) {
  double width = 0;
  for (const Row& row : rows) width = std::max(width, text_width(row.*text, font_size));
  return width;
}

Axis axis_for(const std::vector<Row>& rows, size_t column, const Column& about) {
  Line line;
  for (const Row& row : rows) {
    if (column < row.cells.size()) line.dots.push_back({0, row.cells[column]});
  }
  return axis_of(about.title, {line}, {about.zero}, 5);
}

void draw_estimate(Svg& svg, const Frame& frame, const Row& row, const Estimate& e, double at) {
  const Box& box = frame.box();
  if (!e.known()) {
    svg.text({box.left + 6, at + 4}, Anchor::start, "note", "–");
    return;
  }
  if (!std::isnan(e.half_width())) {
    const double left = std::max(box.left, frame.x(e.low())), right = std::min(box.right, frame.x(e.high()));
    if (left < right) svg.line({left, at}, {right, at}, "line " + row.look.color);
  }
  if (frame.x(e.value) >= box.left && frame.x(e.value) <= box.right)
    svg.marker(row.look.marker, {frame.x(e.value), at}, 4.4, "mark " + row.look.color,
               fmt::format("{}: {}", row.label, with_interval(e, 4)));
}

}  // namespace

Drawing forest(const std::vector<Row>& rows, const std::vector<Column>& columns) {
  std::vector<double> at;
  double down = kTop;
  std::vector<std::pair<double, std::string>> headings;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].group.empty() && (i == 0 || rows[i].group != rows[i - 1].group)) {
      headings.emplace_back(down + kRow / 2, rows[i].group);
      down += kRow;
    }
    at.push_back(down + kRow / 2);
    down += kRow;
  }
  const double left = 26 + std::max({120.0, widest(rows, &Row::label), 1.08 * widest(rows, &Row::group)});
  const auto count = static_cast<double>(columns.size());
  const double right = left + count * kPlot + (count - 1) * kGap;
  const double notes = widest(rows, &Row::note);
  Svg svg;
  for (size_t c = 0; c < columns.size(); ++c) {
    const double start = left + static_cast<double>(c) * (kPlot + kGap);
    const Frame frame({start, kTop, start + kPlot, down}, axis_for(rows, c, columns[c]),
                      {.title = "", .range = {0, 1}});
    frame.draw(svg, true, false);
    if (std::isfinite(columns[c].zero))
      svg.line({frame.x(columns[c].zero), kTop}, {frame.x(columns[c].zero), down}, "line cb thin dashed");
    for (size_t i = 0; i < rows.size(); ++i)
      if (c < rows[i].cells.size()) draw_estimate(svg, frame, rows[i], rows[i].cells[c], at[i]);
  }
  for (const auto& [place, words] : headings) svg.text({14, place + 4}, Anchor::start, "panel-title", words);
  for (size_t i = 0; i < rows.size(); ++i) {
    svg.text({left - 12, at[i] + 4}, Anchor::end, "label", rows[i].label);
    if (!rows[i].note.empty()) svg.text({right + 14, at[i] + 4}, Anchor::start, "note", rows[i].note);
  }
  return {right + 28 + notes, down + kBottom, svg.body()};
}

Drawing stacked(const std::vector<std::pair<std::string, Drawing>>& parts) {
  constexpr double heading = 26;
  Drawing all;
  for (const auto& [title, part] : parts) {
    Svg svg;
    svg.text({14, all.height + 18}, Anchor::start, "panel-title", title);
    all.body += svg.body() +
                fmt::format("<g transform=\"translate(0 {:g})\">\n{}</g>\n", all.height + heading, part.body);
    all.width = std::max({all.width, part.width, 28 + text_width(title, font_size)});
    all.height += heading + part.height;
  }
  return all;
}

}  // namespace lethe::analysis
