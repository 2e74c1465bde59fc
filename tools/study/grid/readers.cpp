#include "tools/study/grid/readers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "tools/eval/evaluation.h"
#include "tools/spectrum/analyse.h"
#include "tools/spectrum/change.h"

namespace lethe::grid {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The report draws the ranks alone, which are computed of all of them; these show the shape.
constexpr size_t kMostValues = 32;

// To 5 significant digits: what a line of JSON is long by.
double short_number(double value) {
  return std::stod(fmt::format("{:.5g}", value));
}

// The number a benchmark is quoted by.
const eval::Metric& main_metric(const eval::Summary& s) {
  for (const char* name : {"acc_norm", "acc", "strict", "exact_match", "pass@1"}) {
    const auto found = std::ranges::find(s.metrics, name, &eval::Metric::name);
    if (found != s.metrics.end()) return *found;
  }
  return s.metrics.front();
}

json score_of(const std::string& id, const RunEnd& end, const Benchmarks& b, const eval::Summary& s) {
  const eval::Metric& m = main_metric(s);
  const bool learning = std::ranges::find(b.learning, s.task) != b.learning.end();
  const auto number = [](double v) { return std::isfinite(v) ? json(v) : json(nullptr); };
  return {{"kind", "score"},
          {"job", id},
          {"step", end.step},
          {"tokens", end.tokens},
          {"role", learning ? "learning" : "forgetting"},
          {"name", s.task},
          {"metric", m.name == "acc"      ? "accuracy"
                     : m.name == "strict" ? "exact_match"
                                          : m.name},
          {"value", number(m.value)},
          {"standard_error", number(m.standard_error)}};
}

// The model of a job as `lethe eval` is asked for it.
eval::EvaluationRequest request_of(const Study& study, const Place& place, const Job& job,
                                   const Benchmarks& b) {
  const std::string base = place.base_model(*job.run.base);
  const TrainOptions o = options_of(study, job.run, base);
  eval::EvaluationRequest request;
  const bool is_base = job.subject.starts_with("base.");
  const bool adapter = !is_base && job.run.rank > 0;
  request.model = is_base || adapter ? base : place.model(job.subject);
  if (adapter) request.scoring.adapter = place.model(job.subject);
  request.protocol = b.protocol;
  request.tasks = b.tasks;
  request.run.data = b.data;
  request.run.limit = b.limit;
  if (b.shots >= 0) request.run.shots = request.generation.shots = b.shots;
  request.generation.samples = b.samples;
  request.generation.temperature = b.temperature;
  if (b.max_new_tokens > 0) request.generation.max_new_tokens = b.max_new_tokens;
  request.scoring.precision = o.precision;
  request.scoring.device = o.device;
  request.scoring.threads = o.threads;
  return request;
}

json samples_line(const std::string& id, const eval::Summary& s) {
  json line{{"kind", "samples"},          {"job", id},        {"task", s.task}, {"k", json::array()},
            {"pass_at_k", json::array()}, {"unique", nullptr}};
  for (const eval::Metric& m : s.metrics) {
    if (!m.name.starts_with("pass@")) continue;
    line["k"].push_back(std::stoll(m.name.substr(5)));
    line["pass_at_k"].push_back(m.value);
  }
  return line;
}

}  // namespace

std::vector<json> spectrum_job(const Place& place, const Job& job) {
  std::vector<json> lines;
  const std::string base = place.base_model(*job.run.base);
  const int64_t layers = open_model_folder(base).config.num_hidden_layers;
  const std::unique_ptr<SvdSolver> solver = lapack_solver();  // the GPU trains meanwhile
  visit_changes(base, place.model(job.subject), [&](const WeightChange& change) {
    // Two whole decompositions more for each matrix: the first, the middle and the last layer stand for all.
    const bool intruders = change.layer == 0 || change.layer == layers / 2 || change.layer == layers - 1;
    std::vector<double> tuned = change.base;
    for (size_t i = 0; i < tuned.size(); ++i) tuned[i] += change.change[i];
    const ChangeAnalysis s =
        analyse_change(change.rows, change.columns, change.base.data(), tuned.data(), *solver, intruders);
    std::vector<double> values = s.singular_values;
    if (values.size() > kMostValues) values.resize(kMostValues);
    std::ranges::transform(values, values.begin(), short_number);
    lines.push_back({{"kind", "spectrum"},
                     {"job", job.subject},
                     {"tokens", job.run.duration.unit == Duration::Unit::tokens ? json(job.run.duration.count)
                                                                                : json(nullptr)},
                     {"layer", change.layer},
                     {"module", change.module},
                     {"rows", change.rows},
                     {"columns", change.columns},
                     {"singular_values", values},
                     {"rank90", s.rank90},
                     {"stable_rank", s.stable_rank},
                     {"effective_rank", s.effective_rank},
                     {"intruder_dimensions", intruders ? json(s.intruder_dimensions) : json(nullptr)}});
  });
  return lines;
}

std::vector<json> eval_job(const Study& study, const Place& place, const Job& job, const RunEnd& end) {
  std::vector<json> lines;
  const std::string folder = place.folder(job.id);
  fs::create_directories(folder);
  int64_t number = 0;
  for (const Benchmarks& b : job.run.experiment->benchmarks) {
    eval::EvaluationRequest request = request_of(study, place, job, b);
    request.output = fmt::format("{}/documents-{}.jsonl", folder, number++);
    for (const eval::Summary& s : eval::evaluate(std::move(request)).tasks) {
      lines.push_back(score_of(job.subject, end, b, s));
      if (b.samples > 1) lines.push_back(samples_line(job.subject, s));
    }
  }
  return lines;
}

}  // namespace lethe::grid
