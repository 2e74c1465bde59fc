// lethe eval MODEL: benchmarks, decided as lm-evaluation-harness decides them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/log.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/eval/choice_run.h"
#include "tools/eval/result_log.h"
#include "tools/eval/scoring_model.h"
#include "tools/eval/tasks/tasks.h"
#include "tools/metrics/progress.h"
#include "tools/options/nearest.h"
#include "tools/run/model_tokenizer.h"

namespace lethe {
namespace {

using namespace eval;

struct EvalArguments {
  std::string model, tokenizer, bos = "auto", output;
  std::vector<std::string> tasks;
  ChoiceRunOptions run;
  int64_t batch = 0, tokens = 0;
  bool json = false;
  ScoringModelOptions scoring{.device = "auto"};
};

std::string list_of_tasks() {
  std::string text = "\nTasks:\n";
  for (const ChoiceTask& t : choice_tasks())
    text += fmt::format("  {:14} {} ({})\n", t.name, t.purpose, fmt::join(t.files, ", "));
  return text + "A task reads the files named behind it from DIR, and its examples from others there.\n";
}

void add_options(CLI::App& app, EvalArguments& a) {
  app.add_option("MODEL", a.model, "folder of a Hugging Face model, or a GGUF file")->required();
  app.add_option("--tasks", a.tasks, "names, joined by commas")->required()->delimiter(',');
  app.add_option("--data", a.run.data, "folder of the benchmarks' files; may be repeated")->required();
  app.add_option("--shots", a.run.shots, "solved examples before each question")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--limit", a.run.limit, "the first N documents of each task; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--batch", a.batch, "requests computed at a time; 0: as many as a pass holds")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--tokens", a.tokens, "tokens of a pass; 0: what suits the device")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--adapter", a.scoring.adapter, "folder of a PEFT adapter");
  app.add_flag("--merge", a.scoring.merge, "fold the adapter into the weights in memory");
  app.add_option("--tokenizer", a.tokenizer,
                 "tokenizer.json, tokenizer.model or a folder with one (default: the model's)");
  app.add_option("--bos", a.bos,
                 "a beginning-of-sequence token before each text: as the tokenizer has it (auto), on, off")
      ->check(CLI::IsMember({"auto", "on", "off"}));
  app.add_option("--max-length", a.run.max_length,
                 "tokens that the model is given at most, of which the last count; 0: all its positions")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--precision", a.scoring.precision, "float32, bfloat16 or float64")
      ->check(CLI::IsMember({"float32", "bfloat16", "float64"}));
  app.add_option("--device", a.scoring.device, "cpu, cuda, cuda:N or auto");
  app.add_option("--threads", a.scoring.threads, "0: all cores");
  app.add_option(
      "--output", a.output,
      "JSONL file that gets each document's result as it comes; where it exists, the rest is computed");
  app.add_flag("--json", a.json, "print the results as JSON");
  app.footer(list_of_tasks());
}

const ChoiceTask& task_named(const std::string& name) {
  std::vector<std::string> names;
  for (const ChoiceTask& t : choice_tasks()) {
    if (t.name == name) return t;
    names.push_back(t.name);
  }
  throw UsageError(fmt::format("there is no task {}; did you mean {}?", name, nearest(name, names)));
}

// All that a document's result depends on, but the kind of device and how many are computed together.
nlohmann::json settings_of(const EvalArguments& a, const std::string& weights, const Tokenizer& tokenizer,
                           const PairEncoder& encoder) {
  return {{"protocol", "lm-eval"},
          {"model", a.model},
          {"weights", weights},
          {"adapter", a.scoring.adapter},
          {"merge", a.scoring.merge},
          {"precision", a.scoring.precision},
          {"tokenizer", tokenizer.fingerprint()},
          {"bos", a.bos},
          {"prefix_id", encoder.prefix_id()},
          {"max_length", a.run.max_length},
          {"shots", a.run.shots},
          {"seed", 1234}};
}

// A pass that holds the longest request, and as many logits as the tasks ask for on the whole.
PassLimits size_of_pass(const EvalArguments& a, const std::vector<ChoiceRun>& runs) {
  int64_t longest = 1, most_wanted = 1, all = 0, longest_batch = 0;
  double share = 0;
  for (const ChoiceRun& run : runs) {
    double tokens = 0, wanted = 0;
    for (const ScoreRequest& r : run.requests()) {
      longest = std::max<int64_t>(longest, std::ssize(r.input));
      most_wanted = std::max<int64_t>(most_wanted, std::ssize(r.targets));
      tokens += static_cast<double>(r.input.size());
      wanted += static_cast<double>(r.targets.size());
    }
    all = std::max(all, static_cast<int64_t>(tokens));
    if (tokens > 0) share = std::max(share, wanted / tokens);
  }
  longest_batch = a.batch * longest;
  const bool is_cpu = a.scoring.device == "cpu" || (a.scoring.device == "auto" && !cuda_is_available());
  int64_t tokens = a.tokens > 0 ? a.tokens : is_cpu ? 1024 : 16384;
  tokens = std::max(longest, std::min(tokens, all));
  if (a.batch > 0) tokens = std::min(tokens, longest_batch);
  const auto up = [](int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; };
  tokens = up(tokens, 64);
  const auto wanted = static_cast<int64_t>(1.25 * share * static_cast<double>(tokens));
  return {tokens, up(std::max(most_wanted, std::min(wanted, tokens)), 16)};
}

// Draws how far the requests are.
class Meter {
 public:
  explicit Meter(const std::vector<ChoiceRun>& runs) {
    for (const ChoiceRun& run : runs) {
      for (const ScoreRequest& r : run.requests()) tokens_ += static_cast<double>(r.input.size());
      progress_.total += std::ssize(run.requests());
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

}  // namespace

int eval_command(const std::vector<std::string>& arguments) {
  CLI::App app("Runs benchmarks, with the decisions of lm-evaluation-harness.", "lethe eval");
  EvalArguments a;
  add_options(app, a);
  parse(app, arguments);

  const ModelSource source = open_model_folder(a.model);
  if (a.run.max_length == 0) a.run.max_length = source.config.max_position_embeddings;
  if (a.run.max_length > source.config.max_position_embeddings) {
    throw ConfigError("max-length", fmt::format("{} tokens pass the model's {} positions", a.run.max_length,
                                                source.config.max_position_embeddings));
  }
  const auto tokenizer = open_model_tokenizer(a.tokenizer.empty() ? a.model : a.tokenizer);
  const Bos bos = a.bos == "auto" ? Bos::tokenizer : a.bos == "on" ? Bos::on : Bos::off;
  const PairEncoder encoder(*tokenizer, {.bos = bos});
  std::vector<ChoiceRun> runs;
  for (const std::string& name : a.tasks) runs.emplace_back(task_named(name), a.run);
  const nlohmann::json settings = settings_of(a, source.fingerprint, *tokenizer, encoder);
  ResultLog log = a.output.empty() ? ResultLog() : ResultLog(a.output, settings);
  for (const nlohmann::json& line : log.found())
    for (ChoiceRun& run : runs) run.restore(line);

  for (ChoiceRun& run : runs) run.encode(encoder);
  const bool asks = std::ranges::any_of(runs, [](const ChoiceRun& run) { return !run.requests().empty(); });
  if (asks) {
    a.scoring.size = size_of_pass(a, runs);
    ScoringModel model(a.model, a.scoring);
    Meter meter(runs);
    for (ChoiceRun& run : runs) {
      model.scorer().run(run.requests(), a.batch, [&](size_t request, const Score& score) {
        if (const auto line = run.take(request, score)) log.append(*line);
        meter.done(run.requests()[request]);
      });
    }
  }
  std::vector<Summary> summaries;
  for (const ChoiceRun& run : runs) summaries.push_back(run.summary());
  if (!a.json) {
    std::cout << table_of(summaries);
    return 0;
  }
  nlohmann::json results{{"settings", settings}, {"results", nlohmann::json::array()}};
  for (const Summary& s : summaries) results["results"].push_back(json_of(s));
  std::cout << results.dump(1) << "\n";
  return 0;
}

}  // namespace lethe
