// lethe train CONFIG: one run, from text and a model to a trained model or adapter.
#include <CLI/CLI.hpp>

#include <csignal>
#include <filesystem>
#include <iostream>

#include <fmt/format.h>

#include "engine/checkpoint.h"
#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/plan/describe.h"
#include "tools/run/run_log.h"
#include "tools/run/signals.h"

namespace lethe {
namespace {

// Refuses before anything is written: an output that holds another run, a disk that is too small.
void check_output(const PreparedRun& run, const State& state, bool resume) {
  const std::string& output = run.options.output;
  if (!resume && std::filesystem::exists(output + "/checkpoints")) {
    throw ConfigError("output", output + " already holds a run; continue it with --resume or name another folder");
  }
  const int64_t checkpoint = checkpoint_bytes(state, tensors_to_save(state));
  require_free_space(output, checkpoint * (run.options.train.keep_checkpoints + 1));
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
  CLI::App app("Trains a model: full fine-tuning or LoRA, from a checkpoint or from scratch.", "lethe train");
  ConfigArguments config;
  bool resume = false;
  add_config_arguments(app, config, train_table(), ConfigFile::required);
  app.add_flag("--resume", resume, "continue from the newest complete checkpoint in the output folder");
  parse(app, arguments);

  const Settings settings = load_settings(train_table(), config);
  PreparedRun prepared = prepare_run(train_options(settings));
  log::info(describe_request(prepared));
  TrainingRun run(std::move(prepared));
  const TrainOptions& options = run.prepared().options;
  check_output(run.prepared(), run.session().state(), resume);

  const int64_t resumed = resume ? run.resume() : 0;
  std::filesystem::create_directories(options.output);
  replace_file(options.output + "/config.yaml", settings.as_yaml());
  RunLog log(options.output, resumed, options.train.log_every);
  const SignalGuard signals;
  const int64_t last = run.train({.on_step = [&](const StepRecord& r) { log.step(r); },
                                  .on_evaluation = [&](const EvaluationRecord& r) { log.evaluation(r); },
                                  .should_stop = [] { return SignalGuard::received() != 0; }});
  if (last < run.prepared().steps) {
    throw RunError(fmt::format("stopped by {} after step {} of {}; the checkpoint is saved, --resume goes on from it",
                               SignalGuard::received() == SIGINT ? "SIGINT" : "SIGTERM", last, run.prepared().steps));
  }
  const std::string exported = run.export_model(options.output + (options.method == "lora" ? "/adapter" : "/model"));
  std::cout << exported << "\n";
  return 0;
}

}  // namespace lethe
