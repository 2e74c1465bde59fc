// lethe train CONFIG: one run, from text and a model to a trained model or adapter.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <iostream>

#include "engine/checkpoint.h"
#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/plan/describe.h"
#include "tools/run/run_log.h"
#include "tools/run/signals.h"
#include "tools/trace/trace_file.h"

namespace lethe {
namespace {

// A run that was killed early may have left no more than its configuration.
void require_no_run(const std::string& output) {
  for (const char* name : {"checkpoints", "metrics.jsonl", "config.yaml"}) {
    if (std::filesystem::exists(std::filesystem::path(output) / name)) {
      throw ConfigError("output",
                        output + " already holds a run; continue it with --resume or name another folder");
    }
  }
}

void require_disk(const PreparedRun& run, const State& state) {
  const int64_t checkpoint = checkpoint_bytes(state, tensors_to_save(state));
  require_free_space(run.options.output, checkpoint * (run.options.train.keep_checkpoints + 1));
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
  CLI::App app("Trains a model: full fine-tuning or LoRA, from a checkpoint or from scratch.", "lethe train");
  ConfigArguments config;
  bool resume = false;
  TraceFile trace;
  add_config_arguments(app, config, train_table(), ConfigFile::required);
  app.add_flag("--resume", resume, "continue from the newest complete checkpoint in the output folder");
  trace.add_options(app);
  parse(app, arguments);

  const Settings settings = load_settings(train_table(), config);
  const TrainOptions asked = train_options(settings);
  if (!resume) require_no_run(asked.output);
  PreparedRun prepared = prepare_run(asked);
  log::info(describe_request(prepared));
  TrainingRun run(std::move(prepared), trace.load(asked.device));
  const TrainOptions& options = run.prepared().options;
  require_disk(run.prepared(), run.session().state());
  const int64_t resumed = resume ? run.resume() : 0;
  // All has been checked; from here on the run may write.
  run.prepared().data.keep_shards();
  std::filesystem::create_directories(options.output);
  replace_file(options.output + "/config.yaml", settings.as_yaml());
  RunLog log(options.output, resumed, options.train.log_every);
  const SignalGuard signals;
  const int64_t last =
      run.train({.before_step = [&](int64_t step) { trace.before_step(step, run.prepared().steps); },
                 .on_step = [&](const StepRecord& r) { log.step(r); },
                 .on_evaluation = [&](const EvaluationRecord& r) { log.evaluation(r); },
                 .should_stop = [] { return SignalGuard::received() != 0; }});
  trace.finish();
  if (last < run.prepared().steps) {
    throw RunError(
        fmt::format("stopped by {} after step {} of {}; the checkpoint is saved, --resume goes on from it",
                    SignalGuard::received() == SIGINT ? "SIGINT" : "SIGTERM", last, run.prepared().steps));
  }
  const std::string exported =
      run.export_model(options.output + (options.method == "lora" ? "/adapter" : "/model"));
  std::cout << exported << "\n";
  return 0;
}

}  // namespace lethe
