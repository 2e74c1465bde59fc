#include "tools/report/plot.h"

#include <algorithm>
#include <cmath>

#include "tools/report/style.h"

namespace lethe::report {
namespace {

constexpr double line_height = 15;
constexpr double marker_radius = 3.2;

double widest_tick(const Axis& axis) {
  double widest = 0;
  for (const Tick& tick : axis.ticks) widest = std::max(widest, text_width(tick.label, font_size));
  return widest;
}

}  // namespace

Axis axis_over(const std::string& title, Scale scale, const std::vector<double>& values, int max_ticks) {
  Axis axis{.title = title, .scale = scale, .range = range_of(values)};
  if (scale == Scale::logarithmic) {
    if (axis.range.low <= 0) axis.range.low = axis.range.high > 0 ? axis.range.high / 10 : 0.1;
    if (axis.range.high <= axis.range.low) axis.range.high = 10 * axis.range.low;
    axis.range = padded_log(axis.range, 0.05);
    axis.ticks = log_ticks(axis.range, max_ticks);
  } else {
    axis.range = padded(axis.range, 0.06);
    axis.ticks = linear_ticks(axis.range, max_ticks);
  }
  return axis;
}

Axis token_axis(const std::string& what, double most, int max_ticks) {
  const double limit = std::isfinite(most) && most > 0 ? most : 1;
  const double unit = limit >= 2e9 ? 1e9 : limit >= 2e6 ? 1e6 : limit >= 2e3 ? 1e3 : 1;
  const char* name = unit == 1e9   ? " (billions)"
                     : unit == 1e6 ? " (millions)"
                     : unit == 1e3 ? " (thousands)"
                                   : "";
  Axis axis{.title = what + name, .range = {0, limit}};
  for (const Tick& tick : linear_ticks({0, limit / unit}, max_ticks))
    axis.ticks.push_back({tick.value * unit, tick.label});
  return axis;
}

double Frame::fraction(const Axis& axis, double value) {
  const Range& range = axis.range;
  if (axis.scale == Scale::linear) return (value - range.low) / (range.high - range.low);
  return std::log(value / range.low) / std::log(range.high / range.low);
}

bool Frame::holds(Place value) const {
  constexpr double slack = 1e-6;
  const auto inside = [](const Axis& axis, double v) {
    if (!std::isfinite(v) || (axis.scale == Scale::logarithmic && v <= 0)) return false;
    const double f = fraction(axis, v);
    return f >= -slack && f <= 1 + slack;
  };
  return inside(x_, value.x) && inside(y_, value.y);
}

void Frame::draw(Svg& svg, bool x_labels, bool y_labels) const {
  for (const Tick& tick : y_.ticks) {
    const double at = y(tick.value);
    svg.line({box_.left, at}, {box_.right, at}, "grid");
    if (y_labels) svg.text({box_.left - 8, at + 4}, Anchor::end, "tick", tick.label);
  }
  svg.line({box_.left, box_.bottom}, {box_.right, box_.bottom}, "axis");
  for (const Tick& tick : x_.ticks) {
    const double at = x(tick.value);
    svg.line({at, box_.bottom}, {at, box_.bottom + 4}, "axis");
    if (x_labels) svg.text({at, box_.bottom + 18}, Anchor::middle, "tick", tick.label);
  }
  if (x_labels && !x_.title.empty()) {
    svg.text({(box_.left + box_.right) / 2, box_.bottom + 37}, Anchor::middle, "axis-title", x_.title);
  }
  if (y_labels && !y_.title.empty()) {
    svg.vertical_text({box_.left - widest_tick(y_) - 18, (box_.top + box_.bottom) / 2}, "axis-title",
                      y_.title);
  }
}

void Frame::draw(Svg& svg, const Series& series) const {
  const std::string style = "line " + series.look.color + (series.look.dashed ? " dashed" : "");
  std::vector<Place> stretch;
  bool inside_before = true;
  for (size_t i = 0; i <= series.values.size(); ++i) {
    const bool inside = i < series.values.size() && holds(series.values[i]);
    if (inside) stretch.push_back(place(series.values[i]));
    if (inside) continue;
    svg.polyline(stretch, style);
    stretch.clear();
  }
  for (size_t i = 0; i < series.values.size(); ++i) {
    const Place value = series.values[i];
    const std::string tip = i < series.tips.size() ? series.tips[i] : "";
    const bool inside = holds(value);
    if (inside && series.markers) {
      svg.marker(series.look.marker, place(value), marker_radius, "mark " + series.look.color, tip);
    } else if (!inside && inside_before && std::isfinite(value.x)) {
      svg.cross({x(value.x), box_.top + 5}, 4, "cross " + series.look.color, tip);
    }
    inside_before = inside;
  }
}

void Frame::draw(Svg& svg, const Guide& guide) const {
  if (!std::isfinite(guide.y) || guide.y < y_.range.low || guide.y > y_.range.high) return;
  const double at = y(guide.y);
  svg.line({box_.left, at}, {box_.right, at}, guide.css_class);
  const bool room_above = !guide.below && at > line_height + 2;
  svg.text({box_.right - 4, room_above ? at - 6 : at + 14}, Anchor::end, "note", guide.words);
}

void Frame::draw_end_labels(Svg& svg, const std::vector<Series>& series) const {
  std::vector<Place> ends;
  std::vector<double> wanted;
  std::vector<const Series*> labelled;
  for (const Series& one : series) {
    const auto last = std::find_if(one.values.rbegin(), one.values.rend(), [&](Place v) { return holds(v); });
    if (last == one.values.rend() || !one.label_at_end) continue;
    labelled.push_back(&one);
    ends.push_back(place(*last));
    wanted.push_back(ends.back().y);
  }
  const std::vector<double> at = spread(wanted, line_height, box_.top + 4, box_.bottom - 4);
  for (size_t i = 0; i < labelled.size(); ++i) {
    const double left = box_.right + 18;
    if (std::abs(at[i] - ends[i].y) > 2 || ends[i].x < box_.right - 10) {
      svg.line({ends[i].x + 6, ends[i].y}, {left - 8, at[i]}, "leader");
    }
    svg.marker(labelled[i]->look.marker, {left - 2, at[i]}, marker_radius, "mark " + labelled[i]->look.color,
               "");
    svg.text({left + 6, at[i] + 4}, Anchor::start, "label", labelled[i]->look.label);
  }
}

double draw_legend(Svg& svg, const std::vector<Look>& looks, Place at, double width) {
  constexpr double sample = 22, gap = 18;
  Place pen = at;
  for (const Look& look : looks) {
    const double needed = sample + 6 + text_width(look.label, font_size);
    if (pen.x > at.x && pen.x + needed > at.x + width) pen = {at.x, pen.y + line_height + 4};
    svg.line({pen.x, pen.y - 4}, {pen.x + sample, pen.y - 4},
             "line " + look.color + (look.dashed ? " dashed" : ""));
    svg.marker(look.marker, {pen.x + sample / 2, pen.y - 4}, marker_radius, "mark " + look.color, "");
    svg.text({pen.x + sample + 6, pen.y}, Anchor::start, "label", look.label);
    pen.x += needed + gap;
  }
  return looks.empty() ? 0 : pen.y - at.y + line_height + 4;
}

Drawing line_figure(Canvas canvas, const Axis& x, const Axis& y, const std::vector<Series>& series,
                    const std::vector<Guide>& guides) {
  double label_room = 14;
  for (const Series& one : series) {
    if (one.label_at_end) label_room = std::max(label_room, 28 + text_width(one.look.label, font_size));
  }
  const Box box{widest_tick(y) + 34, 18, canvas.width - label_room, canvas.height - 46};
  const Frame frame(box, x, y);
  Svg svg;
  frame.draw(svg);
  for (const Guide& guide : guides) frame.draw(svg, guide);
  for (const Series& one : series) frame.draw(svg, one);
  frame.draw_end_labels(svg, series);
  return {canvas.width, canvas.height, svg.body()};
}

}  // namespace lethe::report
