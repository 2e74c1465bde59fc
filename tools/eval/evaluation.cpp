#include "tools/eval/evaluation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "tools/eval/averages.h"
#include "tools/eval/open_runs.h"
#include "tools/eval/result_log.h"
#include "tools/eval/text_run.h"
#include "tools/eval/writing_model.h"
#include "tools/metrics/progress.h"
#include "tools/run/model_tokenizer.h"

namespace lethe::eval {
namespace {

using OnLine = std::function<void(const nlohmann::json&)>;  // told of each document's result as it comes

Runs open_all(const EvaluationRequest& a) {
  if (a.tasks.empty() && a.texts.empty()) throw RequestError("--tasks or --text says what to run");
  if (!a.tasks.empty() && a.run.data.empty()) throw RequestError("--data says where the tasks' files are");
  Runs runs = open_scored_tasks(a.protocol, a.tasks, a.run);
  for (const std::string& path : a.texts) runs.push_back(std::make_unique<TextRun>(path, a.json_key, a.run));
  return runs;
}

// All that a document's result depends on, but the kind of device and how many are computed together.
nlohmann::json settings_of(const EvaluationRequest& a, const std::string& weights, const Tokenizer& tokenizer,
                           const PairEncoder& encoder, const WrittenRuns& written) {
  nlohmann::json settings{{"protocol", a.protocol},
                          {"model", a.model},
                          {"weights", weights},
                          {"adapter", a.scoring.adapter},
                          {"merge", a.scoring.merge},
                          {"precision", a.scoring.precision},
                          {"tokenizer", tokenizer.fingerprint()},
                          {"bos", a.bos},
                          {"prefix_id", encoder.prefix_id()},
                          {"max_length", a.run.max_length},
                          {"seed", 1234}};
  if (a.run.shots || a.protocol == "lm-eval") {
    settings["shots"] = a.run.shots.value_or(0);
  } else {
    settings["shots"] = "v0.3";
  }
  if (written.empty()) return settings;
  const GenerationOptions& g = a.generation;
  settings["written"] = {{"samples", g.samples},
                         {"temperature", g.temperature},
                         {"top_p", g.top_p},
                         {"seed", g.seed},
                         {"decode_with_prompt", a.decode_with_prompt}};
  if (g.max_new_tokens) settings["written"]["max_new_tokens"] = *g.max_new_tokens;
  if (std::ranges::any_of(written, [](const auto& run) { return run->task().runs_programs; })) {
    settings["written"]["python"] = python_version(g.python.interpreter);
    settings["written"]["sandboxed"] = g.python.sandboxed;
  }
  return settings;
}

void write_all(const EvaluationRequest& a, const Tokenizer& tokenizer, const PairEncoder& encoder,
               const WrittenRuns& runs, const OnLine& on_line) {
  using Clock = std::chrono::steady_clock;
  Progress progress{.counted = "text", .has_loss = false};
  for (const auto& run : runs) progress.total += std::ssize(run->asks());
  ProgressBar bar;
  const Clock::time_point start = Clock::now();
  for (const auto& run : runs) {
    write_texts(a.model, tokenizer, encoder, *run,
                {.adapter = a.scoring.adapter,
                 .merge = a.scoring.merge,
                 .precision = a.scoring.precision,
                 .device = a.scoring.device,
                 .threads = a.scoring.threads,
                 .batch = a.batch,
                 .max_length = a.run.max_length,
                 .decode_with_prompt = a.decode_with_prompt},
                on_line, [&] {
                  ++progress.step;
                  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
                  progress.seconds_left = static_cast<double>(progress.total - progress.step) * seconds /
                                          static_cast<double>(progress.step);
                  bar.update(progress);
                });
  }
}

// Draws how far the requests are.
class Meter {
 public:
  explicit Meter(const Runs& runs) {
    for (const auto& run : runs) {
      for (const ScoreRequest& r : run->requests()) tokens_ += static_cast<double>(r.input.size());
      progress_.total += std::ssize(run->requests());
    }
  }
  void done(const ScoreRequest& request) {
    ++progress_.step;
    done_ += static_cast<double>(request.input.size());
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    progress_.tokens_per_second = done_ / seconds;
    progress_.seconds_left = (tokens_ - done_) * seconds / done_;
    bar_.update(progress_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  ProgressBar bar_;
  Progress progress_{.counted = "request", .has_loss = false};
  Clock::time_point start_ = Clock::now();
  double tokens_ = 0, done_ = 0;
};

void score_all(EvaluationRequest& a, const PairEncoder& encoder, const Runs& runs, bool branches,
               const OnLine& on_line) {
  for (const auto& run : runs) run->encode(encoder);
  if (std::ranges::all_of(runs, [](const auto& run) { return run->requests().empty(); })) return;
  const bool is_cpu = a.scoring.device == "cpu" || (a.scoring.device == "auto" && !cuda_is_available());
  a.scoring.size = size_of_pass(runs, a.tokens > 0 ? a.tokens : is_cpu ? 2048 : 16384, a.batch, branches);
  ScoringModel model(a.model, a.scoring);
  Meter meter(runs);
  for (const auto& run : runs) {
    model.scorer().run(run->requests(), a.batch, [&](size_t request, const Score& score) {
      if (const auto line = run->take(request, score)) on_line(*line);
      meter.done(run->requests()[request]);
    });
  }
}

}  // namespace

EvaluationResults evaluate(EvaluationRequest a) {
  a.generation.shots = a.run.shots;
  const ModelSource source = open_model_folder(a.model);
  if (a.run.max_length == 0) a.run.max_length = source.config.max_position_embeddings;
  if (a.run.max_length > source.config.max_position_embeddings) {
    throw ConfigError("max-length", fmt::format("{} tokens pass the model's {} positions", a.run.max_length,
                                                source.config.max_position_embeddings));
  }
  const auto tokenizer = open_model_tokenizer(a.tokenizer.empty() ? a.model : a.tokenizer);
  const Bos bos = a.bos == "auto" ? Bos::tokenizer : a.bos == "on" ? Bos::on : Bos::off;
  const PairEncoder encoder(*tokenizer, {.bos = bos});
  const Runs runs = open_all(a);
  const WrittenRuns written = open_written_tasks(a.protocol, a.tasks, a.run, a.generation);
  EvaluationResults made{.settings = settings_of(a, source.fingerprint, *tokenizer, encoder, written)};
  ResultLog log = a.output.empty() ? ResultLog() : ResultLog(a.output, made.settings);
  std::map<std::pair<std::string, int64_t>, nlohmann::json> lines;
  const auto keep = [&](const nlohmann::json& line) { lines[{line.at("task"), line.at("document")}] = line; };
  for (const nlohmann::json& line : log.found()) {
    const auto takes = [&](const auto& run) { return run->restore(line); };
    if (std::ranges::any_of(runs, takes) || std::ranges::any_of(written, takes)) keep(line);
  }
  const auto done = [&](const nlohmann::json& line) {
    log.append(line);
    keep(line);
  };
  score_all(a, encoder, runs, can_branch(source.config), done);
  write_all(a, *tokenizer, encoder, written, done);
  for (const auto& run : runs) made.tasks.push_back(run->summary());
  for (const auto& run : written) made.tasks.push_back(run->summary());
  for (const auto& average : {gauntlet_average(made.tasks), forgetting_average(made.tasks)}) {
    if (average) made.averages.push_back(*average);
  }
  for (auto& [key, line] : lines) made.lines.push_back(std::move(line));
  return made;
}

}  // namespace lethe::eval
