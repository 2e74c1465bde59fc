// The learning-forgetting plane with each method's Pareto front: figure 3 of the paper, and forgetting at
// equal learning.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/analysis/analysis.h"
#include "tools/analysis/draw.h"
#include "tools/analysis/front.h"
#include "tools/report/numbers.h"
#include "tools/report/style.h"

namespace lethe::analysis {
namespace {

using namespace report;

// The ends of a condition's runs, averaged over seeds: learned and forgotten at each duration.
struct Way {
  Condition condition;
  std::vector<Cell> cells;
  std::vector<Estimate> learned, forgotten;
  std::vector<Bargain> front;  // of all learning rates and durations, over the means of seeds
};

std::vector<Bargain> mean_front(const Grid& grid, const Panel& panel, const Condition& condition) {
  std::vector<Bargain> points{{}};
  for (const Cell& at : grid.cells(panel, condition)) {
    for (const Cell& rate : grid.rates(panel, condition, at.duration)) {
      const Estimate learned = estimate_of(grid.gains(rate, panel.learning.front())),
                     forgotten = estimate_of(grid.gains(rate, panel.forgetting.front()));
      if (learned.known() && forgotten.known())
        points.push_back({.learned = learned.value, .forgotten = forgotten.value});
    }
  }
  return pareto_front(std::move(points));
}

std::vector<Way> ways_of(const Grid& grid, const Panel& panel) {
  std::vector<Way> ways;
  for (const Condition& condition : grid.main_conditions(panel)) {
    Way way{.condition = condition, .front = mean_front(grid, panel, condition)};
    for (const Cell& at : grid.cells(panel, condition)) {
      const Estimate learned = estimate_of(grid.gains(at, panel.learning.front())),
                     forgotten = estimate_of(grid.gains(at, panel.forgetting.front()));
      if (!learned.known() || !forgotten.known()) continue;
      way.cells.push_back(at);
      way.learned.push_back(learned);
      way.forgotten.push_back(forgotten);
    }
    if (!way.cells.empty()) ways.push_back(std::move(way));
  }
  return ways;
}

std::string axis_words(const Measure& measure) {
  const bool learning = measure.role == Role::learning;
  if (!measure.is_loss())
    return fmt::format("{}: {} (points)", learning ? "Learned" : "Forgotten", measure.label());
  return fmt::format("{}: {} of {} (nats per token)", learning ? "Learned" : "Forgotten",
                     learning ? "fall" : "rise", measure.label());
}

Axis axis_for(const std::vector<Way>& ways, std::vector<Estimate> Way::*which, const Measure& measure) {
  Line line;
  for (const Way& way : ways)
    for (const Estimate& e : way.*which) line.dots.push_back({0, scaled(e, measure.unit())});
  std::vector<double> front{0};
  for (const Way& way : ways) {
    for (const Bargain& b : way.front)
      front.push_back(measure.unit() * (measure.role == Role::learning ? b.learned : b.forgotten));
  }
  return axis_of(axis_words(measure), {line}, front, 7);
}

void draw_way(Svg& svg, const Frame& frame, const Way& way, double ux, double uy) {
  const Look& look = way.condition.look;
  std::vector<Place> front;
  for (const Bargain& b : way.front) front.push_back(frame.place({ux * b.forgotten, uy * b.learned}));
  svg.polyline(front, "line thin dashed " + look.color);
  const auto cut = [](double v, double low, double high) { return std::clamp(v, low, high); };
  const Box& box = frame.box();
  for (size_t i = 0; i < way.cells.size(); ++i) {
    const Estimate x = scaled(way.forgotten[i], ux), y = scaled(way.learned[i], uy);
    const Place at = frame.place({x.value, y.value});
    if (!std::isnan(x.half_width()))
      svg.line({cut(frame.x(x.low()), box.left, box.right), at.y},
               {cut(frame.x(x.high()), box.left, box.right), at.y}, "line thin " + look.color);
    if (!std::isnan(y.half_width()))
      svg.line({at.x, cut(frame.y(y.high()), box.top, box.bottom)},
               {at.x, cut(frame.y(y.low()), box.top, box.bottom)}, "line thin " + look.color);
    const double size = 3 + 4 * static_cast<double>(i + 1) / static_cast<double>(way.cells.size());
    svg.marker(
        look.marker, at, size, "mark " + look.color,
        fmt::format("{}: learned {}, forgot {}", look.label, with_interval(y, 4), with_interval(x, 4)));
  }
}

// What labels keep away from: markers, intervals and the front's line, as small boxes.
void add_obstacles(const Frame& frame, const Way& way, double ux, double uy, std::vector<Box>& taken) {
  constexpr double half = 4;
  for (size_t i = 0; i < way.cells.size(); ++i) {
    const Estimate x = scaled(way.forgotten[i], ux), y = scaled(way.learned[i], uy);
    const Place at = frame.place({x.value, y.value});
    taken.push_back({at.x - 8, at.y - 8, at.x + 8, at.y + 8});
    if (!std::isnan(x.half_width()))
      taken.push_back({frame.x(x.low()) - 2, at.y - 2, frame.x(x.high()) + 2, at.y + 2});
    if (!std::isnan(y.half_width()))
      taken.push_back({at.x - 2, frame.y(y.high()) - 2, at.x + 2, frame.y(y.low()) + 2});
  }
  for (size_t i = 1; i < way.front.size(); ++i) {
    const Place from = frame.place({ux * way.front[i - 1].forgotten, uy * way.front[i - 1].learned});
    const Place to = frame.place({ux * way.front[i].forgotten, uy * way.front[i].learned});
    const int pieces = 1 + static_cast<int>(std::hypot(to.x - from.x, to.y - from.y) / half);
    for (int piece = 0; piece <= pieces; ++piece) {
      const double share = static_cast<double>(piece) / pieces;
      const Place at{from.x + share * (to.x - from.x), from.y + share * (to.y - from.y)};
      taken.push_back({at.x - half, at.y - half, at.x + half, at.y + half});
    }
  }
}

void draw_labels(Svg& svg, const Frame& frame, const std::vector<Way>& ways, double ux, double uy) {
  std::vector<Box> taken;
  for (const Way& way : ways) add_obstacles(frame, way, ux, uy, taken);
  for (const Way& way : ways) {
    const Place last = frame.place({ux * way.forgotten.back().value, uy * way.learned.back().value});
    const double width = text_width(way.condition.label, font_size);
    const Box box = place_beside(last, width, 15, taken, frame.box());
    svg.text({(box.left + box.right) / 2, box.bottom - 4}, Anchor::middle, "label", way.condition.label);
    taken.push_back(box);
  }
}

void draw_plane(Svg& svg, const Box& outer, const Panel& panel, const std::vector<Way>& ways) {
  const Measure &learning = panel.learning.front(), &forgetting = panel.forgetting.front();
  const Frame frame({outer.left + 74, outer.top + 30, outer.right - 20, outer.bottom - 46},
                    axis_for(ways, &Way::forgotten, forgetting), axis_for(ways, &Way::learned, learning));
  frame.draw(svg);
  svg.text({outer.left + 74, outer.top + 20}, Anchor::start, "panel-title", panel.name());
  if (frame.holds({0, 0})) {
    svg.cross(frame.place({0, 0}), 5, "cross cb", "the base");
    svg.text({frame.x(0) + 9, frame.y(0) - 7}, Anchor::start, "note", "base");
  }
  for (const Way& way : ways) draw_way(svg, frame, way, forgetting.unit(), learning.unit());
  draw_labels(svg, frame, ways, forgetting.unit(), learning.unit());
}

// What each LoRA saves at equal learning, for the words and the table.
void add_equal_learning(const Grid& grid, const Panel& panel, const std::vector<Way>& ways, Analysis& into) {
  const auto full =
      std::find_if(ways.begin(), ways.end(), [](const Way& w) { return w.condition.like->is_full(); });
  if (full == ways.end()) return;
  const double ul = panel.learning.front().unit(), uf = panel.forgetting.front().unit();
  std::vector<std::string> said;
  for (const Way& way : ways) {
    if (way.condition.like->is_full()) continue;
    for (const double share : {0.5, 1.0}) {
      const EqualLearning equal = at_equal_learning(grid, panel, full->condition, way.condition, share);
      if (!equal.saved.known()) continue;
      std::vector<std::string> row{panel.family,     panel.target, way.condition.label,
                                   "equal learning", "",           cell(equal.learned)};
      row.resize(9);
      add_estimate(row, equal.second);
      row.push_back(cell(equal.first.value));
      add_estimate(row, equal.saved);
      into.table.rows.push_back(std::move(row));
      if (share == 1)
        said.push_back(fmt::format("{} forgets {} where full forgets {} (both having learned {}): {} saved",
                                   way.condition.label, fixed(uf * equal.second.value, 3),
                                   fixed(uf * equal.first.value, 3), fixed(ul * equal.learned, 3),
                                   with_interval(equal.saved, 3, uf)));
    }
  }
  if (!said.empty())
    into.words += fmt::format("At equal learning on {}, by interpolation along each method's own front: {}. ",
                              panel.name(), joined(said));
}

void add_rows(const Panel& panel, const std::vector<Way>& ways, Table& table) {
  for (const Way& way : ways) {
    for (size_t i = 0; i < way.cells.size(); ++i) {
      const bool on_front = std::any_of(way.front.begin(), way.front.end(), [&](const Bargain& b) {
        return b.learned == way.learned[i].value && b.forgotten == way.forgotten[i].value;
      });
      std::vector<std::string> row{panel.family, panel.target, way.condition.label,
                                   on_front ? "on front" : "behind front", cell(way.cells[i].duration)};
      add_estimate(row, way.learned[i]);
      add_estimate(row, way.forgotten[i]);
      row.resize(18);
      table.rows.push_back(std::move(row));
    }
  }
}

}  // namespace

Analysis plane_analysis(const Grid& grid) {
  Analysis found{.name = "plane", .title = "The learning–forgetting plane"};
  std::vector<std::pair<const Panel*, std::vector<Way>>> all;
  for (const Panel& panel : grid.panels()) {
    std::vector<Way> ways = ways_of(grid, panel);
    if (!ways.empty()) all.emplace_back(&panel, std::move(ways));
  }
  if (all.empty()) {
    found.words = "No run of the file has scores of both what was learned and what was forgotten.";
    return found;
  }
  found.table.columns = {"family", "target", "method", "point", "duration"};
  add_estimate_columns(found.table.columns, "learned");
  add_estimate_columns(found.table.columns, "forgotten");
  found.table.columns.emplace_back("full_forgotten");
  add_estimate_columns(found.table.columns, "saved");
  found.words =
      "Each marker is a finished run at its method's learning rate, larger for longer training; the dashed "
      "lines are "
      "the Pareto fronts over all learning rates and durations, and the base. Higher and further left is the "
      "better bargain. ";
  for (const auto& [panel, ways] : all) {
    add_rows(*panel, ways, found.table);
    add_equal_learning(grid, *panel, ways, found);
  }
  const bool one = all.size() == 1;
  found.figure =
      sheet(all.size(), 2, one ? 680 : 560, one ? 460 : 400,
            [&](Svg& svg, size_t i, const Box& box) { draw_plane(svg, box, *all[i].first, all[i].second); });
  return found;
}

}  // namespace lethe::analysis
