#include "tools/eval/forgetting.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "engine/error.h"
#include "tools/eval/python_random.h"
#include "tools/eval/tasks/tasks.h"

namespace lethe::eval {
namespace {

// A document's part of a metric, which is the sum of all values over the sum of all weights.
struct Part {
  double value = 0, weight = 1;
};

struct Metrics {
  std::string name;
  bool lower_is_better = false;
  std::vector<int64_t> documents;
  std::vector<Part> base, tuned;
};

std::vector<std::string> metrics_of(const nlohmann::json& line) {
  if (line.contains("bytes")) return {"bits_per_byte"};
  for (const GenerationTask& task : generation_tasks()) {
    if (line.at("task") == task.name) return task.metrics;
  }
  return line.contains("acc_norm") ? std::vector<std::string>{"acc", "acc_norm"}
                                   : std::vector<std::string>{"acc"};
}

Part part_of(const nlohmann::json& line, const std::string& metric) {
  if (metric == "bits_per_byte") {
    const double nats =
        line.at("log_likelihood").get<double>() - line.at("log_likelihood_of_bos").get<double>();
    return {-nats / std::numbers::ln2, line.at("bytes")};
  }
  const nlohmann::json& found = line.at(metric);
  if (!found.is_array()) return {found.get<double>()};
  double sum = 0;
  for (const nlohmann::json& sample : found) sum += sample.get<double>();
  return {sum / static_cast<double>(found.size())};
}

// Of two runs of one benchmark the settings that may differ: what is compared.
bool belongs_to_model(const std::string& key) {
  return key == "model" || key == "weights" || key == "adapter" || key == "merge";
}

void require_same_settings(const nlohmann::json& base, const nlohmann::json& tuned) {
  for (const auto& [key, value] : tuned.items()) {
    const nlohmann::json before = base.contains(key) ? base.at(key) : nlohmann::json();
    if (belongs_to_model(key) || before == value) continue;
    throw ConfigError(key, fmt::format("is {} in the base's results and {} in the tuned model's",
                                       before.dump(), value.dump()));
  }
}

using Lines = std::map<int64_t, const nlohmann::json*>;

std::map<std::string, Lines> by_task(const EvaluationResults& results) {
  std::map<std::string, Lines> found;
  for (const nlohmann::json& line : results.lines) found[line.at("task")][line.at("document")] = &line;
  return found;
}

[[noreturn]] void refuse(const std::string& task, int64_t document, const char* why) {
  throw DataError(fmt::format("{}: document {} {}", task, document, why));
}

std::vector<Metrics> paired(const std::string& task, const Lines& base, const Lines& tuned) {
  std::vector<Metrics> found;
  for (const std::string& name : metrics_of(*base.begin()->second))
    found.push_back({.name = name, .lower_is_better = name == "bits_per_byte"});
  for (const auto& [document, line] : base) {
    const auto other = tuned.find(document);
    if (other == tuned.end()) refuse(task, document, "has no result of the tuned model");
    if (line->at("prompt_sha256") != other->second->at("prompt_sha256"))
      refuse(task, document, "is another text in each of the two results");
    for (Metrics& metric : found) {
      metric.documents.push_back(document);
      metric.base.push_back(part_of(*line, metric.name));
      metric.tuned.push_back(part_of(*other->second, metric.name));
    }
  }
  for (const auto& [document, line] : tuned) {
    if (!base.contains(document)) refuse(task, document, "has no result of the base");
  }
  return found;
}

struct Sums {
  double base = 0, tuned = 0, weight = 0, tuned_weight = 0;

  void add(const Metrics& m, size_t i) {
    base += m.base[i].value;
    weight += m.base[i].weight;
    tuned += m.tuned[i].value;
    tuned_weight += m.tuned[i].weight;
  }
  double forgotten(const Metrics& m) const {
    const double drop = base / weight - tuned / tuned_weight;
    return m.lower_is_better ? -drop : drop;
  }
};

// Every thousand drawings have a generator of their own, so that the number of threads changes nothing.
std::vector<double> resampled(const Metrics& m, int64_t iterations, int64_t first_seed) {
  constexpr int64_t kChunk = 1000;
  std::vector<double> found(static_cast<size_t>(iterations));
  const auto n = static_cast<double>(m.documents.size());
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t begin = 0; begin < iterations; begin += kChunk) {
    PythonRandom random(static_cast<uint64_t>(first_seed + begin / kChunk));
    for (int64_t i = begin; i < std::min(begin + kChunk, iterations); ++i) {
      Sums sums;
      for (size_t d = 0; d < m.documents.size(); ++d) sums.add(m, static_cast<size_t>(random.random() * n));
      found[static_cast<size_t>(i)] = sums.forgotten(m);
    }
  }
  return found;
}

PairedError error_of(std::vector<double> drawn, int64_t documents) {
  if (documents < 2) return {};
  const auto n = static_cast<double>(drawn.size());
  double mean = 0, squares = 0;
  for (const double v : drawn) mean += v / n;
  for (const double v : drawn) squares += (v - mean) * (v - mean);
  std::ranges::sort(drawn);
  const auto at = [&](double share) { return drawn[static_cast<size_t>(share * (n - 1) + 0.5)]; };
  return {std::sqrt(squares / (n - 1)), {at(0.025), at(0.975)}};
}

Change change_of(const std::string& task, const Metrics& m, const std::vector<double>& drawn) {
  Sums sums;
  for (size_t i = 0; i < m.documents.size(); ++i) sums.add(m, i);
  Change made{.task = task,
              .metric = m.name,
              .documents = std::ssize(m.documents),
              .base = sums.base / sums.weight,
              .tuned = sums.tuned / sums.tuned_weight,
              .forgotten = sums.forgotten(m),
              .error = error_of(drawn, std::ssize(m.documents)),
              .decides = !m.lower_is_better};
  for (size_t i = 0; made.decides && i < m.documents.size(); ++i) {
    const bool before = m.base[i].value >= 0.5, now = m.tuned[i].value >= 0.5;
    if (before && !now) made.lost.push_back(m.documents[i]);
    if (!before && now) made.gained.push_back(m.documents[i]);
  }
  return made;
}

// The paper's mean of three accuracies; acc_norm comes behind acc and takes its place.
class Average {
 public:
  void take(const Change& change, const std::vector<double>& drawn) {
    if (change.metric == "acc" || change.metric == "acc_norm") parts_[change.task] = {change, drawn};
  }
  std::optional<Change> made() const {
    Change made{.task = "average of three", .metric = "accuracy"};
    std::vector<double> drawn;
    for (const char* task : {"hellaswag", "arc_challenge", "winogrande"}) {
      const auto found = parts_.find(task);
      if (found == parts_.end()) return std::nullopt;
      const auto& [change, values] = found->second;
      made.documents += change.documents;
      made.base += change.base / 3;
      made.tuned += change.tuned / 3;
      made.forgotten += change.forgotten / 3;
      drawn.resize(values.size());
      for (size_t i = 0; i < values.size(); ++i) drawn[i] += values[i] / 3;
    }
    made.error = error_of(drawn, made.documents);
    return made;
  }

 private:
  std::map<std::string, std::pair<Change, std::vector<double>>> parts_;
};

std::string line_of(const Change& c, size_t width) {
  const bool known = !std::isnan(c.error.standard_error);
  return fmt::format("{:{}}  {:<13}  {:>9}  {:>8.4f}  {:>8.4f}  {:>+9.4f}  {:>7}  {:>18}  {:>5}  {:>6}\n",
                     c.task, width, c.metric, c.documents, c.base, c.tuned, c.forgotten,
                     known ? fmt::format("{:.4f}", c.error.standard_error) : "",
                     known ? fmt::format("{:+.4f} to {:+.4f}", c.error.interval[0], c.error.interval[1]) : "",
                     c.decides ? fmt::to_string(c.lost.size()) : "",
                     c.decides ? fmt::to_string(c.gained.size()) : "");
}

}  // namespace

double mcnemar_z(int64_t lost, int64_t gained) {
  if (lost + gained == 0) return 0;
  return static_cast<double>(lost - gained) / std::sqrt(static_cast<double>(lost + gained));
}

Forgetting forgetting_of(const EvaluationResults& base, const EvaluationResults& tuned, int64_t iterations) {
  require_same_settings(base.settings, tuned.settings);
  require_same_settings(tuned.settings, base.settings);
  const auto before = by_task(base), now = by_task(tuned);
  for (const auto& [task, lines] : now) {
    if (!before.contains(task)) throw DataError(task + ": the base has no results");
  }
  Forgetting made;
  Average average;
  constexpr int64_t kSeedsOfTask = 1'000'000;
  int64_t seed = 0;
  for (const auto& [task, lines] : before) {
    const auto found = now.find(task);
    if (found == now.end()) throw DataError(task + ": the tuned model has no results");
    for (const Metrics& metric : paired(task, lines, found->second)) {
      const std::vector<double> drawn = resampled(metric, iterations, seed);
      made.changes.push_back(change_of(task, metric, drawn));
      average.take(made.changes.back(), drawn);
    }
    seed += kSeedsOfTask;
  }
  made.average = average.made();
  return made;
}

std::string table_of(const Forgetting& forgetting) {
  size_t width = 16;
  for (const Change& c : forgetting.changes) width = std::max(width, c.task.size());
  std::string text =
      fmt::format("{:{}}  {:<13}  {:>9}  {:>8}  {:>8}  {:>9}  {:>7}  {:>18}  {:>5}  {:>6}\n", "task", width,
                  "metric", "documents", "base", "tuned", "forgotten", "error", "95%", "lost", "gained");
  for (const Change& c : forgetting.changes) text += line_of(c, width);
  if (forgetting.average) text += line_of(*forgetting.average, width);
  return text;
}

nlohmann::json json_of(const Forgetting& forgetting) {
  const auto one = [](const Change& c) {
    nlohmann::json made{{"task", c.task}, {"metric", c.metric}, {"documents", c.documents},
                        {"base", c.base}, {"tuned", c.tuned},   {"forgotten", c.forgotten}};
    if (!std::isnan(c.error.standard_error)) {
      made["standard_error"] = c.error.standard_error;
      made["interval_95"] = c.error.interval;
    }
    if (!c.decides) return made;
    made["lost"] = c.lost;
    made["gained"] = c.gained;
    made["mcnemar_z"] = mcnemar_z(std::ssize(c.lost), std::ssize(c.gained));
    return made;
  };
  nlohmann::json made{{"format", "lethe-forgetting-1"}, {"changes", nlohmann::json::array()}};
  for (const Change& c : forgetting.changes) made["changes"].push_back(one(c));
  if (forgetting.average) made["average"] = one(*forgetting.average);
  return made;
}

}  // namespace lethe::eval
