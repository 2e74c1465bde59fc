// The learning rates tried, and the ones chosen.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/report/figures.h"
#include "tools/report/numbers.h"

namespace lethe::report {
namespace {

// One line a label, in the file's order; looks as the run of the same method and rank does.
struct Group {
  Look look;
  std::vector<SweepTrial> trials;
};

std::vector<Group> groups_of(const Results& results) {
  const std::vector<Styled> runs = styled_runs(results);
  std::vector<Group> groups;
  for (const SweepTrial& trial : results.sweep) {
    auto found = std::find_if(groups.begin(), groups.end(),
                              [&](const Group& g) { return g.look.label == trial.label; });
    if (found == groups.end()) {
      Look look{.label = trial.label, .color = "cb"};
      const auto run = std::find_if(runs.begin(), runs.end(), [&](const Styled& s) {
        return s.run.method == trial.method && s.run.rank == trial.rank;
      });
      if (run != runs.end()) look = {trial.label, run->look.color, run->look.marker, run->look.dashed};
      groups.push_back({look, {}});
      found = groups.end() - 1;
    }
    found->trials.push_back(trial);
  }
  for (Group& group : groups) {
    std::stable_sort(group.trials.begin(), group.trials.end(), [](const SweepTrial& a, const SweepTrial& b) {
      return a.learning_rate < b.learning_rate;
    });
  }
  return groups;
}

Series series_of(const Group& group) {
  Series series{.look = group.look};
  for (const SweepTrial& trial : group.trials) {
    series.values.push_back({trial.learning_rate, trial.diverged ? unknown : trial.target_loss});
    series.tips.push_back(
        fmt::format("{} at {}: {}{}", group.look.label, scientific(trial.learning_rate),
                    trial.diverged ? "diverged" : "target loss " + fixed(trial.target_loss, 3),
                    trial.chosen ? " (chosen)" : ""));
  }
  return series;
}

Drawing draw(Canvas canvas, const std::vector<Group>& groups) {
  std::vector<double> rates, losses;
  std::vector<Look> looks;
  for (const Group& group : groups) {
    looks.push_back(group.look);
    for (const SweepTrial& trial : group.trials) {
      rates.push_back(trial.learning_rate);
      if (!trial.diverged && std::isfinite(trial.target_loss)) losses.push_back(trial.target_loss);
    }
  }
  const double limit = 3 * median(losses);
  std::erase_if(losses, [&](double value) { return value > limit; });
  const Axis x = axis_over("Learning rate", Scale::logarithmic, rates, canvas.narrow() ? 4 : 8);
  const Axis y = axis_over("Held-out target loss (nats per token)", Scale::linear, losses, 6);
  Svg svg;
  const double legend = draw_legend(svg, looks, {62, 16}, canvas.width - 80);
  const Frame frame({62, 16 + legend, canvas.width - 18, canvas.height - 46}, x, y);
  frame.draw(svg);
  for (const Group& group : groups) {
    frame.draw(svg, series_of(group));
    for (const SweepTrial& trial : group.trials) {
      const Place value{trial.learning_rate, trial.target_loss};
      if (trial.chosen && frame.holds(value)) {
        svg.marker(Marker::circle, frame.place(value), 8, "ring " + group.look.color, "");
      }
    }
  }
  return {canvas.width, canvas.height, svg.body()};
}

}  // namespace

std::optional<Figure> sweep_figure(const Results& results) {
  const std::vector<Group> groups = groups_of(results);
  if (groups.empty()) return std::nullopt;
  return figure_of("sweep", "Learning rates tried",
                   "Held-out target loss of short runs at each learning rate. A ring marks the rate chosen "
                   "for the study's "
                   "runs, a cross at the upper edge a run that diverged or left the scale.",
                   [&](Canvas canvas) { return draw(canvas, groups); });
}

}  // namespace lethe::report
