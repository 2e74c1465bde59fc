// The learning-forgetting plane: each run's way from the base.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/report/figures.h"
#include "tools/report/numbers.h"
#include "tools/report/style.h"

namespace lethe::report {
namespace {

// x: source loss risen since step 0, y: target loss fallen since step 0.
Series trajectory(const Results& results, const Styled& styled) {
  const std::vector<Point> source = results.points_of(styled.run.name, false);
  const std::vector<Point> target = results.points_of(styled.run.name, true);
  Series series{.look = styled.look};
  if (source.empty() || target.empty() || target.front().step != 0 || source.front().step != 0) return series;
  for (const Point& point : target) {
    const auto same =
        std::find_if(source.begin(), source.end(), [&](const Point& s) { return s.step == point.step; });
    if (same == source.end()) continue;
    const Place place{same->loss - source.front().loss, target.front().loss - point.loss};
    if (!std::isfinite(place.x) || !std::isfinite(place.y)) continue;
    series.values.push_back(place);
    series.tips.push_back(fmt::format("{} after {} tokens: learned {}, forgot {} nats per token",
                                      styled.look.label, grouped(static_cast<int64_t>(point.tokens)),
                                      fixed(place.y, 3), fixed(place.x, 3)));
  }
  return series;
}

// Beyond three times the middle of the runs' farthest points the plane ends, so that one run that exploded
// leaves the others readable.
std::vector<double> coordinates(const std::vector<Series>& all, double Place::*axis) {
  std::vector<double> farthest, values;
  for (const Series& series : all) {
    double far = 0;
    for (const Place& place : series.values) far = std::max(far, std::abs(place.*axis));
    if (!series.values.empty()) farthest.push_back(far);
  }
  const double limit = 3 * median(farthest);
  for (const Series& series : all) {
    for (const Place& place : series.values) {
      if (std::abs(place.*axis) <= limit) values.push_back(place.*axis);
    }
  }
  return values;
}

// Markers grow with time; the last one is the largest.
void draw_trajectory(Svg& svg, const Frame& frame, Series series) {
  series.markers = false;
  frame.draw(svg, series);
  for (size_t i = 0; i < series.values.size(); ++i) {
    if (!frame.holds(series.values[i])) continue;
    const bool last = i + 1 == series.values.size();
    const double share =
        static_cast<double>(i) / static_cast<double>(std::max<size_t>(1, series.values.size() - 1));
    svg.marker(series.look.marker, frame.place(series.values[i]), last ? 6 : 1.6 + 2 * share,
               "mark " + series.look.color, series.tips[i]);
  }
}

// Small boxes along the drawn line, for labels to keep away from.
void add_obstacles(const Frame& frame, const Series& series, std::vector<Box>& taken) {
  constexpr double half = 4;
  for (size_t i = 1; i < series.values.size(); ++i) {
    const Place from = frame.place(series.values[i - 1]), to = frame.place(series.values[i]);
    if (!frame.holds(series.values[i - 1]) || !frame.holds(series.values[i])) continue;
    const int pieces = 1 + static_cast<int>(std::hypot(to.x - from.x, to.y - from.y) / half);
    for (int piece = 0; piece <= pieces; ++piece) {
      const double share = static_cast<double>(piece) / pieces;
      const Place at{from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)};
      taken.push_back({at.x - half, at.y - half, at.x + half, at.y + half});
    }
  }
}

void draw_labels(Svg& svg, const Frame& frame, const std::vector<Series>& all) {
  std::vector<Box> taken;
  for (const Series& series : all) add_obstacles(frame, series, taken);
  for (const Series& series : all) {
    const auto last =
        std::find_if(series.values.rbegin(), series.values.rend(), [&](Place v) { return frame.holds(v); });
    if (last == series.values.rend()) continue;
    const double width = text_width(series.look.label, font_size);
    const Box box = place_beside(frame.place(*last), width, 15, taken, frame.box());
    svg.text({(box.left + box.right) / 2, box.bottom - 4}, Anchor::middle, "label", series.look.label);
    taken.push_back(box);
  }
}

Drawing draw(Canvas canvas, const std::vector<Series>& all) {
  const Axis x = axis_over("Forgetting: rise of the old domain's loss (nats)", Scale::linear,
                           coordinates(all, &Place::x), canvas.narrow() ? 5 : 8);
  const Axis y = axis_over("Learning: fall of the new domain's loss (nats)", Scale::linear,
                           coordinates(all, &Place::y), 7);
  const Box box{62, 12, canvas.width - 14, canvas.height - 46};
  const Frame frame(box, x, y);
  Svg svg;
  frame.draw(svg);
  if (frame.holds({0, y.range.low}))
    svg.line({frame.x(0), box.top}, {frame.x(0), box.bottom}, "line cb thin dashed");
  if (frame.holds({x.range.low, 0}))
    svg.line({box.left, frame.y(0)}, {box.right, frame.y(0)}, "line cb thin dashed");
  for (const Series& series : all) draw_trajectory(svg, frame, series);
  draw_labels(svg, frame, all);
  return {canvas.width, canvas.height, svg.body()};
}

}  // namespace

std::optional<Figure> plane_figure(const Results& results) {
  std::vector<Series> all;
  for (const Styled& styled : styled_runs(results)) {
    Series series = trajectory(results, styled);
    if (series.values.size() > 1) all.push_back(std::move(series));
  }
  if (all.empty()) return std::nullopt;
  return figure_of("plane", "The learning–forgetting plane",
                   "Each line is one run from the base (where the dashed lines cross) to its end "
                   "(the large marker); markers grow "
                   "with the tokens trained on. Up is learned, right is forgotten: of two runs at "
                   "one height, the left one paid less.",
                   [&](Canvas canvas) { return draw(canvas, all); }, {660, 560}, {360, 380});
}

}  // namespace lethe::report
