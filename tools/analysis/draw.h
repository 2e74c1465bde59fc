// What the analyses' figures are drawn with: panels of lines with error bars, and rows of intervals.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tools/analysis/estimate.h"
#include "tools/report/plot.h"

namespace lethe::analysis {

struct Dot {
  double x = 0;
  Estimate y;
};

struct Line {
  report::Look look;
  std::vector<Dot> dots;
};

// An axis that holds all values, and their intervals as far as they reach no further beyond the values than
// the values' own span or the middle interval: one wide interval must not press all else together.
report::Axis axis_of(const std::string& title, const std::vector<Line>& lines,
                     const std::vector<double>& others = {}, int max_ticks = 6);

// A logarithmic axis with its marks at these values.
report::Axis marked_axis(const std::string& title, std::vector<double> values,
                         const std::function<std::string(double)>& label);
// Durations: epochs, or tokens.
report::Axis duration_axis(const std::vector<double>& values, bool by_epochs);

// "8M", "1.5M", "960": three significant digits without needless zeros.
std::string short_count(double value);

// Lines with markers and intervals, side by side by some pixels where several have the same x, and their
// labels at the right edge. Intervals that leave the frame are cut there.
void draw_lines(report::Svg& svg, const report::Frame& frame, const std::vector<Line>& lines,
                bool end_labels = true);

// Room for the end labels of these lines.
double label_room(const std::vector<Line>& lines);

// `count` panels of one size, `columns` side by side; draw gets each one's outer box.
report::Drawing sheet(size_t count, size_t columns, double width, double height,
                      const std::function<void(report::Svg&, size_t, const report::Box&)>& draw);

// One panel of lines: title above, axes, guide at `base` unless it is NaN.
void draw_panel(report::Svg& svg, const report::Box& outer, const std::string& title, const report::Axis& x,
                const report::Axis& y, const std::vector<Line>& lines, double base = unknown);

// Rows of estimates in columns, one above the other, with a heading where the group changes.
struct Row {
  std::string group, label;
  report::Look look;
  std::vector<Estimate> cells;  // one a column
  std::string note;             // words right of the row
};
struct Column {
  std::string title;      // with its unit
  double zero = unknown;  // where a line marks "no difference"; NaN: none
};
report::Drawing forest(const std::vector<Row>& rows, const std::vector<Column>& columns);

// Drawings below each other, each under its heading.
report::Drawing stacked(const std::vector<std::pair<std::string, report::Drawing>>& parts);

// The estimate with its interval, scaled: "0.123 (0.110 to 0.136)"; "–" where unknown.
std::string with_interval(const Estimate& estimate, int decimals, double unit = 1);

}  // namespace lethe::analysis
