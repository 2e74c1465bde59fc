// The spectrum of what training changed: its rank by module and layer over training (figure 6 of the paper),
// and the ranks of every method over training.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tools/analysis/analysis.h"
#include "tools/analysis/changes.h"
#include "tools/analysis/draw.h"
#include "tools/report/numbers.h"
#include "tools/report/style.h"

namespace lethe::analysis {
namespace {

using namespace report;

// Full fine-tuning's course in the panel where it was looked at most often.
struct FullCourse {
  const Panel* panel = nullptr;
  const Run* run = nullptr;
  std::map<double, Spectra> course;
};

FullCourse full_course(const Grid& grid) {
  FullCourse found;
  for (const Panel& panel : grid.panels()) {
    for (const Condition& condition : grid.main_conditions(panel)) {
      if (!condition.like->is_full()) continue;
      for (const Run* run : runs_with_spectra(grid, panel, condition)) {
        auto course = course_of_change(grid, *run);
        if (course.size() > found.course.size()) found = {&panel, run, std::move(course)};
      }
    }
  }
  return found;
}

// At most as many as there are shades, evenly chosen, the last always.
std::vector<double> shown(const std::map<double, Spectra>& course) {
  std::vector<double> all, chosen;
  for (const auto& [tokens, spectra] : course) all.push_back(tokens);
  const size_t count = std::min<size_t>(all.size(), shade_colors);
  for (size_t i = 1; i <= count; ++i) chosen.push_back(all[i * all.size() / count - 1]);
  return chosen;
}

Look shade(size_t index, size_t count, double tokens) {
  return {.label = short_count(tokens) + " tokens",
          .color = fmt::format("s{}", shade_colors - static_cast<int>(count - index))};
}

void draw_layers(Svg& svg, const Box& box, const FullCourse& full, const std::string& module, const Axis& x,
                 const Axis& y, bool first) {
  const Frame frame({box.left + (first ? 60 : 30), box.top + 26, box.right - 8, box.bottom - 40}, x, y);
  frame.draw(svg);
  svg.text({frame.box().left, box.top + 16}, Anchor::start, "panel-title", module);
  const std::vector<double> times = shown(full.course);
  std::vector<Line> lines;
  for (size_t i = 0; i < times.size(); ++i) {
    Line line{.look = shade(i, times.size(), times[i])};
    std::map<double, double> by_layer;
    for (const ChangeSpectrum* s : full.course.at(times[i]))
      if (s->module == module) by_layer[static_cast<double>(s->layer)] = rank90_of(*s);
    for (const auto& [layer, rank] : by_layer) line.dots.push_back({layer, {.value = rank, .seeds = 1}});
    lines.push_back(std::move(line));
  }
  for (const Line& line : lines) {
    Series series{.look = line.look};
    for (const Dot& dot : line.dots) series.values.push_back({dot.x, dot.y.value});
    frame.draw(svg, series);
  }
}

Drawing draw_full_course(const FullCourse& full) {
  const Spectra& last = full.course.rbegin()->second;
  const std::vector<std::string> modules = modules_in(last);
  double layers = 0;
  std::vector<double> ranks{0};
  for (const auto& [tokens, spectra] : full.course) {
    for (const ChangeSpectrum* s : spectra) {
      layers = std::max(layers, static_cast<double>(s->layer));
      ranks.push_back(rank90_of(*s));
    }
  }
  Axis x{.title = "Layer", .range = {-0.4, layers + 0.4}};
  for (const Tick& tick : linear_ticks({0, std::max(layers, 1.0)}, 6))
    if (tick.value == std::floor(tick.value)) x.ticks.push_back({tick.value, fixed(tick.value, 0)});
  constexpr double width = 260, legend = 34;
  const size_t columns = 4;
  Drawing panels = sheet(modules.size(), columns, width, 220, [&](Svg& svg, size_t i, const Box& box) {
    const Axis y = axis_over(i % columns == 0 ? "Rank for 90% of the variance" : "", Scale::linear, ranks, 6);
    draw_layers(svg, box, full, modules[i], x, y, i % columns == 0);
  });
  Svg svg;
  std::vector<Look> looks;
  const std::vector<double> times = shown(full.course);
  for (size_t i = 0; i < times.size(); ++i) looks.push_back(shade(i, times.size(), times[i]));
  draw_legend(svg, looks, {60, 20}, panels.width - 80);
  return {panels.width, panels.height + legend,
          svg.body() + fmt::format("<g transform=\"translate(0 {:g})\">\n{}</g>\n", legend, panels.body)};
}

std::string module_words(const FullCourse& full, const std::string& module) {
  std::vector<double> ranks;
  double sides = 0;
  for (const ChangeSpectrum* s : full.course.rbegin()->second) {
    if (s->module != module) continue;
    ranks.push_back(rank90_of(*s));
    sides = static_cast<double>(std::min(s->rows, s->columns));
  }
  const Median median = median_of(ranks);
  return fmt::format("{} {} of {}", module, fixed(median.value, 0), fixed(sides, 0));
}

struct Measured {
  const char* name;
  const char* axis;
  Quantity of;
};
constexpr Measured kRanks[] = {{"rank90", "Rank for 90% of the variance", rank90_of},
                               {"stable_rank", "Stable rank", stable_rank_of},
                               {"effective_rank", "Effective rank", effective_rank_of}};

// The medians of one condition at every number of tokens at which all its seeds were looked at.
std::vector<Dot> course_of(const Grid& grid, const Panel& panel, const Condition& condition, Quantity of) {
  const std::vector<const Run*> runs = runs_with_spectra(grid, panel, condition);
  std::map<double, std::vector<Spectra>> at;
  for (const Run* run : runs)
    for (auto& [tokens, spectra] : course_of_change(grid, *run)) at[tokens].push_back(spectra);
  std::vector<Dot> dots;
  for (const auto& [tokens, seeds] : at) {
    const Estimate e = median_over_matrices(seeds, of);
    if (seeds.size() == runs.size() && e.known() && tokens > 0) dots.push_back({tokens, e});
  }
  return dots;
}

}  // namespace

Analysis layer_rank_analysis(const Grid& grid) {
  Analysis found{.name = "layer_rank", .title = "Rank of full fine-tuning's change, by module and layer"};
  const FullCourse full = full_course(grid);
  if (!full.run) {
    found.words = "The file has no spectra of full fine-tuning.";
    return found;
  }
  found.table.columns = {"family", "target",  "seed",   "tokens",      "module",        "layer",
                         "rows",   "columns", "rank90", "stable_rank", "effective_rank"};
  for (const auto& [tokens, spectra] : full.course) {
    for (const ChangeSpectrum* s : spectra)
      found.table.rows.push_back({full.panel->family, full.panel->target, std::to_string(full.run->seed),
                                  cell(tokens), s->module, std::to_string(s->layer), std::to_string(s->rows),
                                  std::to_string(s->columns), std::to_string(s->rank90), cell(s->stable_rank),
                                  cell(s->effective_rank)});
  }
  found.figure = draw_full_course(full);
  std::vector<std::string> words;
  for (const std::string& module : modules_in(full.course.rbegin()->second))
    words.push_back(module_words(full, module));
  found.words = fmt::format(
      "The least number of singular values of tuned − base that hold 90% of its variance, {}, seed {}. After "
      "{} "
      "tokens the medians over layers, of as many as there could be: {}.",
      full.panel->name(), full.run->seed, short_count(full.course.rbegin()->first), joined(words));
  return found;
}

Analysis change_rank_analysis(const Grid& grid) {
  Analysis found{.name = "change_rank", .title = "Ranks of the change over training, by method"};
  found.table.columns = {"family", "target", "method", "tokens", "quantity"};
  add_estimate_columns(found.table.columns, "median");
  std::vector<std::pair<const Panel*, std::vector<std::vector<Line>>>> all;
  for (const Panel& panel : grid.panels()) {
    std::vector<std::vector<Line>> ranks;
    for (const Measured& rank : kRanks) {
      ranks.emplace_back();
      for (const Condition& condition : grid.main_conditions(panel)) {
        Line line{.look = condition.look, .dots = course_of(grid, panel, condition, rank.of)};
        if (line.dots.empty()) continue;
        for (const Dot& dot : line.dots) {
          std::vector<std::string> row{panel.family, panel.target, condition.label, cell(dot.x), rank.name};
          add_estimate(row, dot.y);
          found.table.rows.push_back(std::move(row));
        }
        ranks.back().push_back(std::move(line));
      }
    }
    if (ranks.front().empty()) continue;
    found.words += fmt::format("{}, at the end: ", panel.name());
    for (size_t i = 0; i < ranks.front().size(); ++i) {
      found.words += fmt::format("{}{} {}", i == 0 ? "" : "; ", ranks[0][i].look.label,
                                 with_interval(ranks[0][i].dots.back().y, 0));
      for (size_t k = 1; k < ranks.size(); ++k)
        if (i < ranks[k].size())
          found.words += fmt::format(", {} {}", k == 1 ? "stable" : "effective",
                                     with_interval(ranks[k][i].dots.back().y, 1));
    }
    found.words += ". ";
    all.emplace_back(&panel, std::move(ranks));
  }
  if (all.empty()) {
    found.words = "The file has no spectra of the main runs.";
    return found;
  }
  found.words =
      "Medians over all matrices. The rank for 90% of the variance; the stable rank, the sum of the squared "
      "singular values over the greatest squared; the effective rank, e to the entropy of the singular "
      "values as shares (Roy and Vetterli 2007). " +
      found.words;
  found.figure = sheet(3 * all.size(), 3, 430, 330, [&](Svg& svg, size_t i, const Box& box) {
    const auto& [panel, ranks] = all[i / 3];
    std::vector<double> tokens;
    for (const Line& line : ranks[i % 3])
      for (const Dot& dot : line.dots) tokens.push_back(dot.x);
    draw_panel(svg, box, panel->name(), duration_axis(tokens, false),
               axis_of(kRanks[i % 3].axis, ranks[i % 3], {0}), ranks[i % 3]);
  });
  return found;
}

}  // namespace lethe::analysis
