#include "tools/analysis/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace lethe::analysis {
namespace {

bool has_loss(const std::vector<const Score*>& scores, const std::string& name) {
  return std::any_of(scores.begin(), scores.end(),
                     [&](const Score* s) { return s->name == name && s->metric == "loss"; });
}

// acc_norm counts as the better-founded accuracy of the same task.
bool preferred(const std::string& metric, const std::string& over) {
  return metric == "acc_norm" && over == "accuracy";
}

}  // namespace

bool Measure::is_loss() const {
  return parts.front().second == "loss";
}

std::string Measure::key() const {
  if (parts.size() > 1) return "benchmarks";
  return parts.front().first + " " + parts.front().second;
}

std::string Measure::label() const {
  if (parts.size() > 1) return fmt::format("mean accuracy of {} benchmarks", parts.size());
  const auto& [name, metric] = parts.front();
  return name + " " + (metric == "acc_norm" || metric == "exact_match" ? "accuracy" : metric);
}

std::string Measure::axis() const {
  return label() + (is_loss() ? " (nats per token)" : " (%)");
}

double Measure::gain(double base, double value) const {
  const double better = is_loss() ? base - value : value - base;
  return role == Role::learning ? better : -better;
}

std::vector<Measure> measures_in(const std::vector<const Score*>& scores, Role role,
                                 const std::string& first_name) {
  std::vector<std::string> names;
  std::map<std::string, std::string> benchmark;  // name, metric
  for (const Score* s : scores) {
    if (s->role != role) continue;
    if (std::find(names.begin(), names.end(), s->name) == names.end()) names.push_back(s->name);
    if (s->metric == "loss" || (s->metric == "accuracy" && has_loss(scores, s->name))) continue;
    const auto [known, added] = benchmark.try_emplace(s->name, s->metric);
    if (!added && preferred(s->metric, known->second)) known->second = s->metric;
  }
  std::stable_partition(names.begin(), names.end(), [&](const std::string& n) { return n == first_name; });
  std::vector<Measure> found;
  for (const std::string& name : names) {
    if (has_loss(scores, name)) found.push_back({role, {{name, "loss"}}});
  }
  Measure all{role, {}};
  for (const std::string& name : names) {
    if (!benchmark.contains(name)) continue;
    if (role == Role::learning) found.push_back({role, {{name, benchmark[name]}}});
    if (role == Role::forgetting) all.parts.emplace_back(name, benchmark[name]);
  }
  if (!all.parts.empty()) found.push_back(all);
  return found;
}

std::vector<Timed> timed(const std::vector<const Score*>& scores, const Measure& measure) {
  std::map<int64_t, std::vector<const Score*>> by_step;
  for (const auto& [name, metric] : measure.parts) {
    for (const Score* s : scores) {
      if (s->role != measure.role || s->name != name || s->metric != metric) continue;
      auto& at = by_step[s->step];
      // Told twice, by the run and by an evaluation afterwards: the first stands.
      if (std::none_of(at.begin(), at.end(), [&](const Score* o) { return o->name == name; }))
        at.push_back(s);
    }
  }
  std::vector<Timed> found;
  const auto count = static_cast<double>(measure.parts.size());
  for (const auto& [step, parts] : by_step) {
    if (parts.size() < measure.parts.size()) continue;
    Timed point{.step = step, .tokens = parts.front()->tokens, .value = 0, .standard_error = 0};
    for (const Score* s : parts) {
      point.value += s->value / count;
      point.standard_error += s->standard_error * s->standard_error / (count * count);
    }
    point.standard_error = std::sqrt(point.standard_error);
    found.push_back(point);
  }
  return found;
}

}  // namespace lethe::analysis
