// Throughput and memory of training, by method.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tools/analysis/analysis.h"
#include "tools/analysis/draw.h"
#include "tools/report/numbers.h"

namespace lethe::analysis {
namespace {

struct Cost {
  std::string device;
  const Condition* method = nullptr;
  std::vector<Observation> speed, memory;  // one a job
  double trainable = unknown;
};

// Jobs that trained, of the usual settings, by the device they ran on and their method.
std::vector<Cost> costs_of(const Grid& grid, const std::vector<Condition>& methods) {
  std::vector<Cost> costs;
  for (const Job& job : grid.records().jobs) {
    if ((job.stage != "train" && job.stage != "branch") || !std::isfinite(job.tokens_per_second)) continue;
    const Run* const run = grid.records().run_of(job.id);
    if (!run || run->job != job.id) continue;
    const auto method = std::find_if(methods.begin(), methods.end(), [&](const Condition& c) {
      return std::find(c.runs.begin(), c.runs.end(), run) != c.runs.end();
    });
    if (method == methods.end()) continue;
    auto known = std::find_if(costs.begin(), costs.end(),
                              [&](const Cost& c) { return c.device == job.device && c.method == &*method; });
    if (known == costs.end()) known = costs.insert(costs.end(), {.device = job.device, .method = &*method});
    known->speed.push_back({0, job.tokens_per_second});
    known->memory.push_back({0, job.peak_bytes});
    known->trainable = run->trainable_parameters;
  }
  std::stable_sort(costs.begin(), costs.end(), [](const Cost& a, const Cost& b) {
    return std::pair(a.device, a.method) < std::pair(b.device, b.method);
  });
  return costs;
}

std::string beside(const Estimate& own, const Estimate& full) {
  return own.known() && full.known() && full.value > 0
             ? report::signed_fixed(100 * (own.value / full.value - 1), 1) + "%"
             : "–";
}

}  // namespace

Analysis cost_analysis(const Grid& grid) {
  Analysis found{.name = "cost", .title = "Throughput and memory"};
  found.table.columns = {"family", "target", "device", "method", "trainable_parameters"};
  add_estimate_columns(found.table.columns, "tokens_per_second");
  add_estimate_columns(found.table.columns, "peak_bytes");
  std::vector<Row> rows;
  for (const Panel& panel : grid.panels()) {
    const std::vector<Condition> methods = grid.main_conditions(panel);
    const std::vector<Cost> costs = costs_of(grid, methods);
    Estimate full_speed, full_memory;
    std::string device;
    for (const Cost& cost : costs) {
      const Estimate speed = estimate_of(cost.speed), memory = estimate_of(cost.memory);
      if (cost.device != device) full_speed = full_memory = {};
      device = cost.device;
      if (cost.method->like->is_full()) full_speed = speed, full_memory = memory;
      std::vector<std::string> line{panel.family, panel.target, cost.device, cost.method->label,
                                    cell(cost.trainable)};
      add_estimate(line, speed);
      add_estimate(line, memory);
      found.table.rows.push_back(std::move(line));
      rows.push_back({.group = panel.name() + ", " + cost.device,
                      .label = cost.method->label,
                      .look = cost.method->look,
                      .cells = {scaled(speed, 1e-3), scaled(memory, 1e-9)},
                      .note = report::compact(cost.trainable) + " trained"});
      if (!cost.method->like->is_full() && full_speed.known())
        found.words +=
            fmt::format("{} on {}: {} runs at {} tokens a second ({} beside full) with {} at the peak ({}). ",
                        panel.name(), cost.device, cost.method->label, report::compact(speed.value),
                        beside(speed, full_speed),
                        memory.known() ? report::bytes_text(std::llround(memory.value)) : "no measure",
                        beside(memory, full_memory));
    }
  }
  if (rows.empty()) {
    found.words = "The file has no training jobs with a measured speed.";
    return found;
  }
  found.words = "Means over the jobs that trained, with Student's interval over jobs. " + found.words;
  found.figure = forest(rows, {{"Thousands of tokens a second", 0}, {"Peak memory (GB)", 0}});
  return found;
}

}  // namespace lethe::analysis
