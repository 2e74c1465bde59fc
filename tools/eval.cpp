// lethe eval MODEL: benchmarks, decided as lm-evaluation-harness or the gauntlet decides them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/log.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/eval/averages.h"
#include "tools/eval/choice_run.h"
#include "tools/eval/result_log.h"
#include "tools/eval/scoring_model.h"
#include "tools/eval/tasks/tasks.h"
#include "tools/eval/text_run.h"
#include "tools/eval/writing_model.h"
#include "tools/metrics/progress.h"
#include "tools/options/nearest.h"
#include "tools/run/model_tokenizer.h"

namespace lethe {
namespace {

using namespace eval;

struct EvalArguments {
  std::string model, tokenizer, bos = "auto", output, protocol = "lm-eval";
  std::vector<std::string> tasks;
  std::vector<std::string> texts;
  std::string json_key = "text";
  RunOptions run;
  int64_t batch = 0, tokens = 0;
  bool json = false;
  ScoringModelOptions scoring{.device = "auto"};
  GenerationOptions generation;
  bool decode_with_prompt = false;
};

template <class Tasks>
void list(const Tasks& tasks, std::string& text) {
  for (const auto& t : tasks)
    text += fmt::format("  {:14} {} ({})\n", t.name, t.purpose, fmt::join(t.files, ", "));
}

std::string list_of_tasks() {
  std::string text = "\nTasks, and the files that they read from DIR (their examples from others there):\n";
  list(choice_tasks(), text);
  list(text_tasks(), text);
  list(generation_tasks(), text);
  text += "\nBy --protocol gauntlet, its own files or those above:\n";
  list(gauntlet_tasks(), text);
  return text;
}

void add_options(CLI::App& app, EvalArguments& a) {
  app.add_option("MODEL", a.model, "folder of a Hugging Face model, or a GGUF file")->required();
  app.add_option("--tasks", a.tasks, "names, joined by commas")->delimiter(',');
  app.add_option("--protocol", a.protocol,
                 "whose prompts and decisions: lm-eval, or gauntlet (MosaicML's, as the LoRA paper has it)")
      ->check(CLI::IsMember({"lm-eval", "gauntlet"}));
  app.add_option("--data", a.run.data, "folder of the tasks' files; may be repeated");
  app.add_option("--text", a.texts,
                 "a file, a folder or JSONL whose perplexity is measured; may be repeated");
  app.add_option("--json-key", a.json_key, "of the text in JSONL");
  app.add_option("--shots", a.run.shots, "solved examples before each question (default: the task's own)")
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

void add_writing_options(CLI::App& app, EvalArguments& a) {
  GenerationOptions& g = a.generation;
  app.add_option("--samples", g.samples, "texts written for each document, where a task has them written")
      ->check(CLI::PositiveNumber);
  app.add_option("--temperature", g.temperature, "of written texts; 0: the most probable token each time")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", g.top_p, "nucleus: share of the probability to draw from")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", g.seed, "of the draws");
  app.add_option("--max-new-tokens", g.max_new_tokens, "of a written text (default: the task's own)")
      ->check(CLI::PositiveNumber);
  app.add_flag(
      "--decode-with-prompt", a.decode_with_prompt,
      "decode what was written behind the prompt: keeps the first space, which Llama-2's tokenizer drops "
      "where the harness decodes it alone");
  app.add_option("--python", g.python.interpreter, "whole path of the Python that runs written programs")
      ->capture_default_str();
  app.add_flag("!--unsafe-exec", g.python.sandboxed,
               "run written programs with this user's rights where the kernel gives no sandbox");
}

using Runs = std::vector<std::unique_ptr<ScoredRun>>;
using WrittenRuns = std::vector<std::unique_ptr<GenerationRun>>;

std::unique_ptr<ScoredRun> open_gauntlet_task(const std::string& name, const RunOptions& options) {
  std::vector<std::string> names;
  for (const ChoiceTask& t : gauntlet_tasks()) {
    if (t.name == name) return std::make_unique<ChoiceRun>(t, options);
    names.push_back(t.name);
  }
  throw UsageError(
      fmt::format("--protocol gauntlet has no task {}; it has {}", name, fmt::join(names, ", ")));
}

std::unique_ptr<ScoredRun> open_task(const std::string& name, const RunOptions& options) {
  std::vector<std::string> names;
  for (const ChoiceTask& t : choice_tasks()) {
    if (t.name == name) return std::make_unique<ChoiceRun>(t, options);
    names.push_back(t.name);
  }
  for (const TextTask& t : text_tasks()) {
    if (t.name == name) return std::make_unique<TextRun>(t, options);
    names.push_back(t.name);
  }
  for (const GenerationTask& t : generation_tasks()) names.push_back(t.name);
  throw UsageError(fmt::format("there is no task {}; did you mean {}?", name, nearest(name, names)));
}

const GenerationTask* written_task(const std::string& name) {
  const auto found = std::ranges::find(generation_tasks(), name, &GenerationTask::name);
  return found == generation_tasks().end() ? nullptr : &*found;
}

WrittenRuns open_written_tasks(const EvalArguments& a) {
  WrittenRuns runs;
  if (a.protocol == "gauntlet") return runs;
  for (const std::string& name : a.tasks) {
    const GenerationTask* task = written_task(name);
    if (task == nullptr) continue;
    if (task->runs_programs && a.generation.python.sandboxed) {
      if (const std::string why = sandbox_refusal(); !why.empty()) {
        throw UsageError(
            fmt::format("{} runs programs that the model writes, and this kernel gives no sandbox to run "
                        "them in ({}); --unsafe-exec runs them with your rights",
                        name, why));
      }
    }
    runs.push_back(std::make_unique<GenerationRun>(*task, a.run, a.generation));
  }
  return runs;
}

Runs open_tasks(const EvalArguments& a) {
  if (a.tasks.empty() && a.texts.empty()) throw UsageError("--tasks or --text says what to run");
  if (!a.tasks.empty() && a.run.data.empty()) throw UsageError("--data says where the tasks' files are");
  Runs runs;
  for (const std::string& name : a.tasks) {
    if (a.protocol == "gauntlet") {
      runs.push_back(open_gauntlet_task(name, a.run));
    } else if (written_task(name) == nullptr) {
      runs.push_back(open_task(name, a.run));
    }
  }
  for (const std::string& path : a.texts) runs.push_back(std::make_unique<TextRun>(path, a.json_key, a.run));
  return runs;
}

// All that a document's result depends on, but the kind of device and how many are computed together.
nlohmann::json settings_of(const EvalArguments& a, const std::string& weights, const Tokenizer& tokenizer,
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

void write_all(const EvalArguments& a, const Tokenizer& tokenizer, const PairEncoder& encoder,
               const WrittenRuns& runs, ResultLog& log) {
  using Clock = std::chrono::steady_clock;
  Progress progress{.counted = "text", .has_loss = false};
  for (const auto& run : runs) progress.total += std::ssize(run->asks());
  ProgressBar bar;
  const Clock::time_point start = Clock::now();
  for (const auto& run : runs) {
    write_texts(
        a.model, tokenizer, encoder, *run,
        {.adapter = a.scoring.adapter,
         .merge = a.scoring.merge,
         .precision = a.scoring.precision,
         .device = a.scoring.device,
         .threads = a.scoring.threads,
         .batch = a.batch,
         .max_length = a.run.max_length,
         .decode_with_prompt = a.decode_with_prompt},
        [&](const nlohmann::json& line) { log.append(line); },
        [&] {
          ++progress.step;
          const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
          progress.seconds_left = static_cast<double>(progress.total - progress.step) * seconds /
                                  static_cast<double>(progress.step);
          bar.update(progress);
        });
  }
}

// A pass that holds the longest request, and as many logits as the tasks ask for on the whole.
PassLimits size_of_pass(const EvalArguments& a, const Runs& runs) {
  int64_t longest = 1, most_wanted = 1, all = 0, longest_batch = 0;
  double share = 0;
  for (const auto& run : runs) {
    double tokens = 0, wanted = 0;
    for (const ScoreRequest& r : run->requests()) {
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

}  // namespace

int eval_command(const std::vector<std::string>& arguments) {
  CLI::App app("Runs benchmarks, with the decisions of lm-evaluation-harness or MosaicML's gauntlet.",
               "lethe eval");
  EvalArguments a;
  add_options(app, a);
  add_writing_options(app, a);
  parse(app, arguments);
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
  const Runs runs = open_tasks(a);
  const WrittenRuns written = open_written_tasks(a);
  const nlohmann::json settings = settings_of(a, source.fingerprint, *tokenizer, encoder, written);
  ResultLog log = a.output.empty() ? ResultLog() : ResultLog(a.output, settings);
  for (const nlohmann::json& line : log.found()) {
    for (const auto& run : runs) run->restore(line);
    for (const auto& run : written) run->restore(line);
  }

  for (const auto& run : runs) run->encode(encoder);
  const bool asks = std::ranges::any_of(runs, [](const auto& run) { return !run->requests().empty(); });
  if (asks) {
    a.scoring.size = size_of_pass(a, runs);
    ScoringModel model(a.model, a.scoring);
    Meter meter(runs);
    for (const auto& run : runs) {
      model.scorer().run(run->requests(), a.batch, [&](size_t request, const Score& score) {
        if (const auto line = run->take(request, score)) log.append(*line);
        meter.done(run->requests()[request]);
      });
    }
  }
  write_all(a, *tokenizer, encoder, written, log);
  std::vector<Summary> summaries;
  for (const auto& run : runs) summaries.push_back(run->summary());
  for (const auto& run : written) summaries.push_back(run->summary());
  std::vector<Summary> averages;
  for (const auto& average : {gauntlet_average(summaries), forgetting_average(summaries)}) {
    if (average) averages.push_back(*average);
  }
  if (!a.json) {
    summaries.insert(summaries.end(), averages.begin(), averages.end());
    std::cout << table_of(summaries);
    return 0;
  }
  nlohmann::json results{{"settings", settings}, {"results", nlohmann::json::array()}};
  for (const Summary& s : summaries) results["results"].push_back(json_of(s));
  for (const Summary& s : averages) results["averages"].push_back(json_of(s));
  std::cout << results.dump(1) << "\n";
  return 0;
}

}  // namespace lethe
