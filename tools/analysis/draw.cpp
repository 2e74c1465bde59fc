#include "tools/analysis/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "tools/report/numbers.h"
#include "tools/report/style.h"

namespace lethe::analysis {
namespace {

using namespace report;

constexpr double kDodge = 5;  // pixels between lines with the same x
constexpr double kTop = 30, kBottom = 46, kLeft = 74;

// x positions moved apart where several lines have a dot there.
std::vector<std::vector<double>> places(const Frame& frame, const std::vector<Line>& lines) {
  std::map<double, int> count, next;
  for (const Line& line : lines)
    for (const Dot& dot : line.dots) ++count[dot.x];
  std::vector<std::vector<double>> found;
  for (const Line& line : lines) {
    found.emplace_back();
    for (const Dot& dot : line.dots)
      found.back().push_back(frame.x(dot.x) + kDodge * (next[dot.x]++ - (count[dot.x] - 1) / 2.0));
  }
  return found;
}

void draw_interval(Svg& svg, const Frame& frame, double x, const Estimate& y, const std::string& color) {
  if (std::isnan(y.half_width())) return;
  const Box& box = frame.box();
  const double top = std::max(box.top, frame.y(y.high())), bottom = std::min(box.bottom, frame.y(y.low()));
  if (top < bottom) svg.line({x, top}, {x, bottom}, "line thin " + color);
}

// Whether the tie of a line's label would cross words that stand above the base's line.
bool ends_just_above(const Frame& frame, const std::vector<Line>& lines, double base) {
  return std::any_of(lines.begin(), lines.end(), [&](const Line& line) {
    const double up = line.dots.empty() ? -1 : frame.y(base) - frame.y(line.dots.back().y.value);
    return up >= 0 && up < 30;
  });
}

}  // namespace

Axis axis_of(const std::string& title, const std::vector<Line>& lines, const std::vector<double>& others,
             int max_ticks) {
  std::vector<double> values;
  for (const double other : others)
    if (std::isfinite(other)) values.push_back(other);
  for (const Line& line : lines)
    for (const Dot& dot : line.dots)
      if (dot.y.known()) values.push_back(dot.y.value);
  const Range range = range_of(values);
  std::vector<double> widths;
  for (const Line& line : lines)
    for (const Dot& dot : line.dots)
      if (dot.y.known() && !std::isnan(dot.y.half_width())) widths.push_back(dot.y.half_width());
  // Half of the intervals fit in any case.
  const double usual_width = widths.empty() ? 0 : 1.1 * median_of(widths).value;
  const double span = std::max(range.high - range.low, usual_width);
  for (const Line& line : lines) {
    for (const Dot& dot : line.dots) {
      if (!dot.y.known() || std::isnan(dot.y.half_width())) continue;
      values.push_back(std::max(dot.y.low(), range.low - span));
      values.push_back(std::min(dot.y.high(), range.high + span));
    }
  }
  return axis_over(title, Scale::linear, values, max_ticks);
}

Axis marked_axis(const std::string& title, std::vector<double> values,
                 const std::function<std::string(double)>& label) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  std::erase_if(values, [](double v) { return !(v > 0) || !std::isfinite(v); });
  Axis axis{.title = title, .scale = Scale::logarithmic, .range = {1, 2}};
  if (values.empty()) return axis;
  axis.range = {values.front(), values.back()};
  if (axis.range.low == axis.range.high) axis.range = {axis.range.low / 2, axis.range.high * 2};
  axis.range = padded_log(axis.range, 0.06);
  for (const double value : values) axis.ticks.push_back({value, label(value)});
  // No more labels than there is room for: every second, third ... of them, the last always.
  const size_t every = (axis.ticks.size() + 7) / 8;
  for (size_t i = 0; i < axis.ticks.size(); ++i)
    if ((axis.ticks.size() - 1 - i) % every != 0) axis.ticks[i].label.clear();
  return axis;
}

Axis duration_axis(const std::vector<double>& values, bool by_epochs) {
  return marked_axis(by_epochs ? "Epochs" : "Tokens trained on", values,
                     [&](double v) { return by_epochs ? fmt::format("{:g}", v) : short_count(v); });
}

std::string short_count(double value) {
  std::string text = compact(value), unit;
  if (!text.empty() && std::isalpha(static_cast<unsigned char>(text.back())))
    unit = text.back(), text.pop_back();
  if (text.find('.') == std::string::npos) return text + unit;
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text + unit;
}

void draw_lines(Svg& svg, const Frame& frame, const std::vector<Line>& lines, bool end_labels) {
  const auto at = places(frame, lines);
  for (size_t i = 0; i < lines.size(); ++i) {
    const Look& look = lines[i].look;
    std::vector<Place> stretch;
    for (size_t j = 0; j < lines[i].dots.size(); ++j) {
      const Dot& dot = lines[i].dots[j];
      if (!frame.holds({dot.x, dot.y.value})) continue;
      stretch.push_back({at[i][j], frame.y(dot.y.value)});
      draw_interval(svg, frame, at[i][j], dot.y, look.color);
    }
    svg.polyline(stretch, "line " + look.color + (look.dashed ? " dashed" : ""));
  }
  std::vector<Series> ends;
  for (const Line& line : lines) {
    Series end{.look = line.look};
    for (const Dot& dot : line.dots)
      if (frame.holds({dot.x, dot.y.value})) end.values.push_back({dot.x, dot.y.value});
    ends.push_back(std::move(end));
  }
  if (end_labels) frame.draw_end_labels(svg, ends);  // below the markers that they are tied to
  for (size_t i = 0; i < lines.size(); ++i) {
    const Look& look = lines[i].look;
    for (size_t j = 0; j < lines[i].dots.size(); ++j) {
      const Dot& dot = lines[i].dots[j];
      const Place value{dot.x, dot.y.value};
      if (!frame.holds(value)) {
        svg.cross({at[i][j], frame.box().top + 5}, 4, "cross " + look.color, "not on the scale");
        continue;
      }
      svg.marker(look.marker, {at[i][j], frame.y(value.y)}, 3.6, "mark " + look.color,
                 fmt::format("{}: {}", look.label, with_interval(dot.y, 4)));
    }
  }
}

double label_room(const std::vector<Line>& lines) {
  double room = 14;
  for (const Line& line : lines) room = std::max(room, 34 + text_width(line.look.label, font_size));
  return room;
}

Drawing sheet(size_t count, size_t columns, double width, double height,
              const std::function<void(Svg&, size_t, const Box&)>& draw) {
  Svg svg;
  const size_t across = std::min(count, columns), down = (count + across - 1) / across;
  for (size_t i = 0; i < count; ++i) {
    const double left = static_cast<double>(i % across) * width;
    const double top = static_cast<double>(i / across) * height;
    draw(svg, i, {left, top, left + width, top + height});
  }
  return {static_cast<double>(across) * width, static_cast<double>(down) * height, svg.body()};
}

void draw_panel(Svg& svg, const Box& outer, const std::string& title, const Axis& x, const Axis& y,
                const std::vector<Line>& lines, double base) {
  const Box inner{outer.left + kLeft, outer.top + kTop, outer.right - label_room(lines),
                  outer.bottom - kBottom};
  const Frame frame(inner, x, y);
  frame.draw(svg);
  svg.text({inner.left, inner.top - 10}, Anchor::start, "panel-title", title);
  if (std::isfinite(base))
    frame.draw(svg, Guide{.y = base, .words = "base", .below = ends_just_above(frame, lines, base)});
  draw_lines(svg, frame, lines);
}

std::string with_interval(const Estimate& e, int decimals, double unit) {
  if (!e.known()) return "–";
  const std::string value = fixed(unit * e.value, decimals);
  if (std::isnan(e.half_width())) return value;
  return fmt::format("{} ({} to {})", value, fixed(unit * e.low(), decimals),
                     fixed(unit * e.high(), decimals));
}

}  // namespace lethe::analysis
