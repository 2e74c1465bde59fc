#include "tools/study/study.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "engine/rng.h"
#include "tools/report/report.h"
#include "tools/run/signals.h"
#include "tools/spectrum/change.h"
#include "tools/study/experiment.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json points_of(const std::string& run, const std::vector<EvaluationRecord>& evaluations) {
  json lines = json::array();
  for (const EvaluationRecord& e : evaluations) {
    lines.push_back({{"kind", "point"},
                     {"run", run},
                     {"step", e.step},
                     {"tokens", e.tokens},
                     {"domain", e.evaluation.domain},
                     {"loss", e.evaluation.loss},
                     {"accuracy", e.evaluation.accuracy},
                     {"standard_error", e.evaluation.standard_error}});
  }
  return lines;
}

json run_line(const StudyRun& run, const RunOutcome& outcome) {
  json line{{"kind", "run"},
            {"run", run.name},
            {"label", run.label},
            {"method", run.is_base ? "base" : run.method},
            {"rank", nullptr},
            {"alpha", nullptr},
            {"learning_rate", run.learning_rate},
            {"trainable_parameters", outcome.trainable},
            {"seconds", outcome.seconds},
            {"tokens_per_second", outcome.tokens_per_second},
            {"steps", run.steps}};
  if (run.method == "lora") {
    line["rank"] = run.rank;
    line["alpha"] = 2 * run.rank;
  }
  return line;
}

// Everything that decides the base's weights.
std::string base_key(const StudyOptions& o, const StudyData& data) {
  const std::string text =
      fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", data.tokenizer->fingerprint(),
                  data.source.shard->header().key, data.mix.shard->header().key, o.source_mix_fraction,
                  o.hidden_size, o.layers, o.heads, o.kv_heads, o.intermediate_size, o.sequence_length,
                  o.batch_size, o.base_steps, o.base_learning_rate, o.seed, data.target.shard->header().key);
  return fmt::format("{:016x}", stream_of(text));
}

// The base and its results' lines, from the cache if it is there.
std::pair<std::string, json> obtain_base(const StudyOptions& o, const StudyData& data) {
  const fs::path folder = fs::path(o.cache_dir) / ("base-" + base_key(o, data));
  const fs::path lines_file = folder / "results.json";
  if (fs::exists(lines_file)) {
    log::info("using the base in " + folder.string());
    return {(folder / "model").string(), json::parse(std::ifstream(lines_file))};
  }
  const StudyRun run{.name = "base",
                     .label = "Base",
                     .learning_rate = o.base_learning_rate,
                     .steps = o.base_steps,
                     .is_base = true};
  log::info(fmt::format("training the base: {} steps", run.steps));
  const RunOutcome outcome = Experiment(o, data, "").run(run, o.eval_points, (folder / "model").string());
  if (outcome.diverged) throw RunError("the base diverged; a smaller study.base_learning_rate may help");
  json lines = points_of("base", outcome.evaluations);
  lines.insert(lines.begin(), run_line(run, outcome));
  // Last: a base without it is trained again.
  replace_file(lines_file.string(), lines.dump(1));
  return {(folder / "model").string(), lines};
}

class Study {
 public:
  explicit Study(const StudyRequest& request)
      : request_(request), options_(request.options), start_(std::chrono::steady_clock::now()) {}

  void run() {
    texts_ = gather_texts(options_);
    data_ = prepare_study_data(options_, texts_);
    fs::create_directories(request_.output);
    const auto [base, base_lines] = obtain_base(options_, data_);
    const Experiment experiment(options_, data_, base);
    for (const json& line : base_lines) lines_.push_back(line);
    sweep(experiment);
    for (const StudyOptions::Run& r : options_.runs()) continue_base(experiment, r);
    write();
  }

 private:
  const std::vector<double>& rates(const std::string& method) const {
    return method == "lora" ? options_.learning_rates_lora : options_.learning_rates_full;
  }

  // For each way of training, the rate with the lowest held-out loss in the new domain after a short run.
  void sweep(const Experiment& experiment) {
    for (const StudyOptions::Run& r : options_.runs()) {
      StudyRun run{.name = "sweep",
                   .label = label_of(r.method, r.rank),
                   .method = r.method,
                   .rank = r.rank,
                   .steps = options_.sweep_steps};
      std::vector<json> tried;
      size_t best = 0;
      double lowest = INFINITY;
      for (const double rate : rates(r.method)) {
        run.learning_rate = rate;
        log::info(fmt::format("sweep: {} at learning rate {}", run.label, rate));
        const RunOutcome outcome = experiment.run(run, 1, "");
        const double loss = outcome.last_loss("target");
        if (loss < lowest) {
          lowest = loss;
          best = tried.size();
        }
        tried.push_back({{"kind", "sweep"},
                         {"method", r.method},
                         {"rank", nullptr},
                         {"label", run.label},
                         {"learning_rate", rate},
                         {"target_loss", loss},
                         {"source_loss", outcome.last_loss("source")},
                         {"diverged", outcome.diverged},
                         {"chosen", false}});
        if (run.rank) tried.back()["rank"] = run.rank;
      }
      if (std::isinf(lowest))
        throw RunError(run.label + " diverged at every learning rate of the sweep; give smaller ones");
      tried[best]["chosen"] = true;
      chosen_[r.label] = tried[best]["learning_rate"];
      lines_.insert(lines_.end(), tried.begin(), tried.end());
    }
  }

  void continue_base(const Experiment& experiment, const StudyOptions::Run& r) {
    const StudyRun run{.name = r.label,
                       .label = label_of(r.method, r.rank),
                       .method = r.method,
                       .rank = r.rank,
                       .learning_rate = chosen_.at(r.label),
                       .steps = options_.continue_steps};
    log::info(fmt::format("{}: {} steps at learning rate {}", run.label, run.steps, run.learning_rate));
    const std::string folder = request_.output + "/runs/" + run.name;
    const RunOutcome outcome = experiment.run(run, options_.eval_points, folder);
    device_ = outcome.device;
    lines_.push_back(run_line(run, outcome));
    for (const json& p : points_of(run.name, outcome.evaluations)) lines_.push_back(p);
    if (outcome.diverged) return;
    visit_changes(experiment.base_folder(), folder, [&](const WeightChange& change) {
      const Spectrum s = spectrum_of(change);
      lines_.push_back({{"kind", "spectrum"},
                        {"run", run.name},
                        {"tensor", s.tensor},
                        {"layer", s.layer},
                        {"module", s.module},
                        {"rows", s.rows},
                        {"columns", s.columns},
                        {"singular_values", s.singular_values},
                        {"rank90", s.rank90},
                        {"stable_rank", s.stable_rank},
                        {"frobenius", s.frobenius},
                        {"relative_change", s.relative_change}});
    });
  }

  json study_line() const {
    const auto text = [&](const std::string& name, const StudyText& t, const TrainingSource& s,
                          double entropy) {
      return json{{"name", name},
                  {"description", t.description},
                  {"licence", t.licence},
                  {"documents", t.documents},
                  {"bytes", t.bytes},
                  {"tokens", s.shard->tokens()},
                  {"unigram_entropy", entropy}};
    };
    const LlamaConfig config =
        open_model_folder(fs::exists(request_.output + "/runs/full") ? request_.output + "/runs/full" : "")
            .config;
    return {{"kind", "study"},
            {"name", options_.name},
            {"created", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))},
            {"device", device_},
            {"threads",
             options_.threads > 0 ? options_.threads : static_cast<int64_t>(make_cpu_backend()->threads())},
            {"command", request_.command},
            {"version", LETHE_VERSION},
            {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count()},
            {"model",
             {{"hidden_size", config.hidden_size},
              {"num_hidden_layers", config.num_hidden_layers},
              {"num_attention_heads", config.num_attention_heads},
              {"num_key_value_heads", config.num_key_value_heads},
              {"intermediate_size", config.intermediate_size},
              {"vocab_size", config.vocab_size},
              {"parameters", parameter_count(config)}}},
            {"sequence_length", options_.sequence_length},
            {"batch_tokens", options_.batch_size * options_.sequence_length},
            {"source", text(options_.source_name, texts_.source, data_.source, data_.source_entropy)},
            {"target", text(options_.target_name, texts_.target, data_.target, data_.target_entropy)},
            {"source_mix", {{"code_fraction", options_.source_mix_fraction}}}};
  }

  void write() {
    const std::string path = request_.output + "/results.jsonl";
    ResultsLog log(path);
    log.add(study_line());
    for (const json& line : lines_) log.add(line);
    report::write_report(path, request_.output);
    log::info("the report is " + fs::absolute(request_.output + "/report.html").string());
  }

  const StudyRequest& request_;
  const StudyOptions& options_;
  std::chrono::steady_clock::time_point start_;
  StudyTexts texts_;
  StudyData data_;
  std::map<std::string, double> chosen_;
  std::string device_;
  std::vector<json> lines_;
};

}  // namespace

void run_study(const StudyRequest& request) {
  const SignalGuard signals;
  Study(request).run();
}

}  // namespace lethe
