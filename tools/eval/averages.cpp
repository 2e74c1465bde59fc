#include "tools/eval/averages.h"

#include <algorithm>
#include <cmath>

namespace lethe::eval {
namespace {

const Metric* metric_of(const Summary& summary, const char* name) {
  const auto found = std::ranges::find(summary.metrics, name, &Metric::name);
  return found == summary.metrics.end() ? nullptr : &*found;
}

// Equal weights; the documents of one benchmark are independent of another's.
Metric mean_of(const std::string& name, const std::vector<Metric>& parts) {
  Metric made{.name = name};
  double variance = 0;
  for (const Metric& part : parts) {
    made.value += part.value;
    variance += part.standard_error * part.standard_error;
  }
  const auto n = static_cast<double>(parts.size());
  made.value /= n;
  made.standard_error = std::sqrt(variance) / n;
  return made;
}

}  // namespace

std::optional<Summary> forgetting_average(const std::vector<Summary>& summaries) {
  Summary made{.task = "forgetting_average", .shots = std::nullopt};
  std::vector<Metric> parts;
  for (const char* task : {"hellaswag", "arc_challenge", "winogrande"}) {
    const auto found = std::ranges::find(summaries, task, &Summary::task);
    if (found == summaries.end()) return std::nullopt;
    const Metric* normed = metric_of(*found, "acc_norm");
    const Metric* accuracy = normed != nullptr ? normed : metric_of(*found, "acc");
    if (accuracy == nullptr) return std::nullopt;
    parts.push_back(*accuracy);
    made.documents += found->documents;
  }
  made.metrics = {mean_of("accuracy", parts)};
  return made;
}

std::optional<Summary> gauntlet_average(const std::vector<Summary>& summaries) {
  Summary made{.task = "gauntlet_average", .shots = std::nullopt};
  std::vector<Metric> parts;
  for (const Summary& summary : summaries) {
    const Metric* score = metric_of(summary, "above_chance");
    if (score == nullptr) continue;
    parts.push_back(*score);
    made.documents += summary.documents;
  }
  if (parts.size() < 2) return std::nullopt;
  made.metrics = {mean_of("above_chance", parts)};
  return made;
}

}  // namespace lethe::eval
