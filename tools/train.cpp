// lethe train CONFIG: one run, from text and a model to a trained model or adapter.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>

#include "engine/checkpoint.h"
#include "engine/comm/launch.h"
#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/eval/training_examiner.h"
#include "tools/plan/describe.h"
#include "tools/run/rank_devices.h"
#include "tools/run/rank_watch.h"
#include "tools/run/ranks.h"
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

// Every option but those that may differ from process to process.
Facts facts_of(const Settings& settings) {
  Facts facts{{"lethe", LETHE_VERSION}};
  for (const Option& option : settings.table().options()) {
    if (option.name == "threads" || option.name == "memory_budget_gb") continue;
    facts.emplace_back(option.name, text_of(settings.value(option.name)));
  }
  return facts;
}

void require_engine(const TrainOptions::Distributed& options, const Launched& launch) {
  if (options.engine == "self" && launch.world > 1) {
    throw ConfigError("distributed.engine",
                      fmt::format("is self, and {} started {} processes", launch.launcher, launch.world));
  }
  if (options.engine == "mpi" && launch.world == 1) {
    throw ConfigError("distributed.engine",
                      "is mpi, and no launcher started several processes: mpirun -n N "
                      "lethe train ... (docs/distributed.md)");
  }
}

struct Arguments {
  ConfigArguments config;
  bool resume = false;
  double hang_seconds = 0;
  TraceFile trace;
};

// Trains, tells nothing where this is not the first rank. Throws SharedFailure for what all ranks know of.
int train(const Ranks& ranks, const Launched& launch, Arguments& arguments) {
  const std::shared_ptr<Comm>& comm = ranks.comm;
  const bool first = comm->rank() == 0;
  std::optional<Settings> settings;
  std::optional<PreparedRun> prepared;
  std::optional<TrainingRun> run;
  int64_t resumed = 0;
  RankDevice device;
  const auto prepare = [&] {
    TrainOptions asked = train_options(*settings);
    asked.device = device.device;
    require_engine(asked.distributed, launch);
    if (!arguments.resume && first) require_no_run(asked.output);
    prepared.emplace(prepare_run(asked, comm));
    prepared->device_comm = device.comm;
    prepared->spec.examiner = eval::make_examiner(*prepared);
  };
  together(*comm, [&] { settings.emplace(load_settings(train_table(), arguments.config)); });
  together(*comm, [&] {
    device = device_of_rank(*comm, settings->get<std::string>("device"),
                            settings->get<std::string>("distributed.engine"));
  });
  together(*comm, [&] {
    if (first) prepare();  // alone: it tokenizes, and the others find what it wrote
  });
  together(*comm, [&] {
    if (!first) prepare();
    log::info(describe_request(*prepared));
    std::shared_ptr<CudaTrace> trace = arguments.trace.load(prepared->options.device);
    run.emplace(std::move(*prepared), std::move(trace));
    if (first) require_disk(run->prepared(), run->session().state());
    if (arguments.resume) resumed = run->resume();
  });
  together(*comm, [&] { run->prepare_checkpoints(); });
  if (comm->world() > 1) {
    Facts facts = facts_of(*settings);
    std::ranges::copy(library_facts(device, launch), std::back_inserter(facts));
    std::ranges::copy(run->facts(), std::back_inserter(facts));
    require_same(*comm, facts);
  }
  // All has been checked; from here on the run may write.
  const TrainOptions& options = run->prepared().options;
  run->prepared().data.keep_shards();
  std::optional<RunLog> log;
  if (first) {
    std::filesystem::create_directories(options.output);
    replace_file(options.output + "/config.yaml", settings->as_yaml());
    log.emplace(options.output, resumed, options.train.log_every);
  }
  if (comm->world() > 1) begin_log_of_rank(*comm, options.output, device.device);
  const SignalGuard signals;
  const int64_t steps = run->prepared().steps;
  std::unique_ptr<Watch> watching = watch_ranks(ranks, *run, arguments.hang_seconds);
  RunObserver observer{.before_step =
                           [&](int64_t step) {
                             if (watching) watching->at(step);
                             arguments.trace.before_step(step, steps);
                           },
                       .should_stop = [] { return SignalGuard::received() != 0; }};
  observer.on_step = [&](const StepRecord& r) {
    if (watching) watching->worked(r.compute_seconds + r.data_seconds);
    if (log) log->step(r, slowest_rank(watching.get()));
  };
  if (log) {
    observer.on_examination = [&](const Examination& e) { log->examination(e); };
    observer.on_checkpoint = [&](const CheckpointTimes& t) { log->checkpoint(t); };
    observer.on_evaluation = [&](const EvaluationRecord& r) { log->evaluation(r); };
  }
  const int64_t last = train_watched(*run, observer, watching.get());
  watching.reset();
  arguments.trace.finish();
  if (run->forgot_too_much()) {
    log::info(fmt::format("ended after step {} of {}: more was forgotten than eval.stop_when_forgotten, {}",
                          last, steps, options.eval.stop_when_forgotten));
  } else if (last < steps) {
    const std::string stopped =
        fmt::format("stopped by {} after step {} of {}; the checkpoint is saved, --resume goes on from it",
                    SignalGuard::received() == SIGINT ? "SIGINT" : "SIGTERM", last, steps);
    if (comm->world() > 1) throw SharedFailure{1, stopped};
    throw RunError(stopped);
  }
  const std::string exported =
      run->export_model(options.output + (options.method == "lora" ? "/adapter" : "/model"));
  if (first) std::cout << exported << "\n";
  comm->barrier();  // a failing export ends the others too
  return 0;
}

}  // namespace

int train_command(const std::vector<std::string>& arguments) {
  CLI::App app("Trains a model: full fine-tuning or LoRA, from a checkpoint or from scratch.", "lethe train");
  Arguments asked;
  add_config_arguments(app, asked.config, train_table(), ConfigFile::required);
  app.add_flag("--resume", asked.resume, "continue from the newest complete checkpoint in the output folder");
  app.add_option(
         "--hang-seconds", asked.hang_seconds,
         "of several processes: end all when none began a step, or one was not heard, for so long; 0: "
         "never")
      ->check(CLI::NonNegativeNumber);
  asked.trace.add_options(app);
  parse(app, arguments);

  const Launched launch = find_launched();
  // Started again by its launcher, with the arguments of the first time.
  if (launch.restarts > 0) asked.resume = true;
  const Ranks ranks = join_ranks(launch);
  const std::shared_ptr<Comm>& comm = ranks.comm;
  if (comm->world() == 1) return train(ranks, launch, asked);
  log::set_silent(comm->rank() != 0);
  log::keep_for_file();
  const auto fail_alone = [&](int status, const char* text) {
    tell_failure(fmt::format("rank {} of {}: {}", comm->rank(), comm->world(), text));
    comm->end_all(status);
  };
  try {
    return train(ranks, launch, asked);
  } catch (const SharedFailure& failure) {
    if (comm->rank() == 0) {
      tell_failure(failure.text);
    } else {
      log::note(failure.text);
    }
    return failure.status;
  } catch (const RequestError& error) {
    fail_alone(2, error.what());
  } catch (const std::exception& error) {
    fail_alone(1, error.what());
  }
  return 1;
}

}  // namespace lethe
