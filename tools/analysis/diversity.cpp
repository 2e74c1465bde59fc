// What a model writes when it is asked many times: pass@k (figure S9 of the paper) and how much of it is
// distinct (figure 5).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tools/analysis/analysis.h"
#include "tools/analysis/draw.h"
#include "tools/report/numbers.h"

namespace lethe::analysis {
namespace {

struct Sampled {
  std::string label;
  report::Look look;
  std::map<double, std::vector<Observation>> pass;  // by k, one a seed
  std::vector<Observation> unique;
};

struct Task {
  const Panel* panel = nullptr;
  std::string name;
  std::vector<Sampled> methods;  // the base first
};

void add(Sampled& into, const Samples& samples, int64_t seed) {
  for (size_t i = 0; i < samples.k.size(); ++i)
    into.pass[samples.k[i]].push_back({seed, samples.pass_at_k[i]});
  into.unique.push_back({seed, samples.unique});
}

// Of each method the runs of the longest duration of which samples were drawn.
Sampled sampled_of(const Grid& grid, const Panel& panel, const Condition& condition,
                   const std::string& task) {
  Sampled found{.label = condition.label, .look = condition.look};
  double longest = -1;
  std::vector<std::pair<const Run*, const Samples*>> own;
  for (const Samples& samples : grid.records().samples) {
    const Run* const run = grid.records().run_of(samples.job);
    if (samples.task != task ||
        std::find(condition.runs.begin(), condition.runs.end(), run) == condition.runs.end())
      continue;
    own.emplace_back(run, &samples);
    longest = std::max(longest, grid.duration_of(panel, *run));
  }
  for (const auto& [run, samples] : own)
    if (grid.duration_of(panel, *run) == longest) add(found, *samples, run->seed);
  return found;
}

std::vector<Task> tasks_of(const Grid& grid) {
  std::vector<Task> tasks;
  std::vector<std::string> names;
  for (const Samples& samples : grid.records().samples)
    if (std::find(names.begin(), names.end(), samples.task) == names.end()) names.push_back(samples.task);
  for (const Panel& panel : grid.panels()) {
    for (const std::string& name : names) {
      Task task{.panel = &panel, .name = name};
      for (const Condition& condition : grid.main_conditions(panel)) {
        Sampled sampled = sampled_of(grid, panel, condition, name);
        if (!sampled.unique.empty()) task.methods.push_back(std::move(sampled));
      }
      if (task.methods.empty()) continue;
      Sampled base{
          .label = "base",
          .look = {.label = "base", .color = "cb", .marker = report::Marker::diamond, .dashed = true}};
      for (const Samples& samples : grid.records().samples) {
        const Run* const run = grid.records().run_of(samples.job);
        if (run->is_base() && samples.task == name) add(base, samples, run->seed);
      }
      if (!base.unique.empty()) task.methods.insert(task.methods.begin(), std::move(base));
      tasks.push_back(std::move(task));
    }
  }
  return tasks;
}

std::vector<Line> lines_of(const Task& task) {
  std::vector<Line> lines;
  for (const Sampled& method : task.methods) {
    Line line{.look = method.look};
    for (const auto& [k, seeds] : method.pass) line.dots.push_back({k, scaled(estimate_of(seeds), 100)});
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string words_of(const Task& task) {
  std::vector<std::string> said;
  for (const Sampled& method : task.methods) {
    const auto& [least, first] = *method.pass.begin();
    const auto& [most, last] = *method.pass.rbegin();
    said.push_back(fmt::format("{} pass@{:g} {}%, pass@{:g} {}%, {}% of its outputs distinct", method.label,
                               least, with_interval(estimate_of(first), 1, 100), most,
                               with_interval(estimate_of(last), 1, 100),
                               with_interval(estimate_of(method.unique), 1, 100)));
  }
  std::string words = task.name + " after " + task.panel->name() + ": ";
  for (size_t i = 0; i < said.size(); ++i) words += (i == 0 ? "" : "; ") + said[i];
  return words + ". ";
}

}  // namespace

Analysis diversity_analysis(const Grid& grid) {
  Analysis found{.name = "diversity", .title = "Diversity of solutions"};
  found.table.columns = {"family", "target", "task", "method", "quantity", "k"};
  add_estimate_columns(found.table.columns, "value");
  const std::vector<Task> tasks = tasks_of(grid);
  if (tasks.empty()) {
    found.words = "The file has no samples of the main runs.";
    return found;
  }
  std::vector<Row> rows;
  for (const Task& task : tasks) {
    for (const Sampled& method : task.methods) {
      const auto add_row = [&](const char* quantity, const std::string& k, const Estimate& value) {
        std::vector<std::string> row{task.panel->family, task.panel->target, task.name,
                                     method.label,       quantity,           k};
        add_estimate(row, value);
        found.table.rows.push_back(std::move(row));
      };
      for (const auto& [k, seeds] : method.pass) add_row("pass", cell(k), estimate_of(seeds));
      add_row("unique", "", estimate_of(method.unique));
      rows.push_back({.group = task.name + ", " + task.panel->name(),
                      .label = method.label,
                      .look = method.look,
                      .cells = {scaled(estimate_of(method.unique), 100)}});
    }
    found.words += words_of(task);
  }
  found.words =
      "pass@k is the share of problems that at least one of k outputs solves; distinct outputs are counted "
      "as whole strings. Intervals over seeds. " +
      found.words;
  const auto curves =
      sheet(tasks.size(), 2, 560, 350, [&](report::Svg& svg, size_t i, const report::Box& box) {
        const std::vector<Line> lines = lines_of(tasks[i]);
        std::vector<double> ks;
        for (const Line& line : lines)
          for (const Dot& dot : line.dots) ks.push_back(dot.x);
        draw_panel(
            svg, box, tasks[i].name + ", " + tasks[i].panel->name(),
            marked_axis("k, outputs drawn per problem", ks, [](double k) { return fmt::format("{:g}", k); }),
            axis_of("pass@k (%)", lines), lines);
      });
  found.figure = stacked({{"Problems solved", curves},
                          {"Distinct outputs", forest(rows, {{"Distinct among a problem's outputs (%)"}})}});
  return found;
}

}  // namespace lethe::analysis
