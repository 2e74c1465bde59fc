// lethe plan CONFIG: bytes, FLOPs and the program of a run, and a check of the whole request; allocates
// nothing.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/checkpoint.h"
#include "engine/files/file_replacement.h"
#include "engine/snapshot.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/eval/training_examiner.h"
#include "tools/plan/describe.h"
#include "tools/plan/several_ranks.h"
#include "tools/run/snapshot_room.h"

namespace lethe {
namespace {

struct PlanArguments {
  ConfigArguments config;
  bool show = false, json = false;
  double budget_gb = 0;
  RanksRequest ranks{.world = 0};  // 0: one process, and nothing said of others
};

void add_ranks_options(CLI::App& app, RanksRequest& ranks) {
  app.add_option(
      "--world", ranks.world,
      "also what a step takes on each of so many GPUs: bytes, bytes sent and a predicted time, for "
      "each distributed.sharding");
  app.add_option("--per-node", ranks.per_node, "GPUs of a node")->capture_default_str();
  app.add_option("--link-gbs", ranks.link_gbs,
                 "GB/s that a GPU sends to others of its node, while it receives as many: three quarters of "
                 "NVLink 4's 450")
      ->capture_default_str();
  app.add_option("--network-gbs", ranks.network_gbs,
                 "GB/s that a GPU sends to other nodes: three quarters of 400 Gb/s")
      ->capture_default_str();
  app.add_option("--latency-us", ranks.latency_us, "of each exchange")->capture_default_str();
  app.add_option(
      "--measured", ranks.measured,
      "take a step's time from this file of lines that `lethe bench` printed, or of rows that hold "
      "one (docs/benchmarks.jsonl)");
  app.add_option("--peak", ranks.peak_tflops, "without --measured: a GPU's peak rate, TFLOP/s")
      ->capture_default_str();
  app.add_option("--peak-share", ranks.peak_share, "without --measured: the share of it that a step reaches")
      ->capture_default_str();
}

// Where the run would be: a GPU's programs need other workspaces, and no GPU to be planned.
Device device_of(const TrainOptions& options) {
  const bool cuda = options.device == "auto" ? cuda_is_available() : options.device != "cpu";
  if (cuda) return {DeviceKind::cuda, 1};
  return {DeviceKind::cpu,
          options.threads > 0 ? static_cast<int>(options.threads) : make_cpu_backend()->threads()};
}

void print_program(const Programs& programs, const Plan& plan) {
  for (size_t i = 0; i < programs.tapes.size(); ++i) {
    std::cout << "\n" << describe_program(*programs.tapes[i], plan.programs[i]);
  }
}

}  // namespace

int plan_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Prints what a run needs and does, before anything is allocated. Without data.train, the program "
      "alone.",
      "lethe plan");
  PlanArguments a;
  add_config_arguments(app, a.config, train_table(), ConfigFile::required);
  app.add_flag("--show", a.show, "print every node of every program");
  app.add_option("--budget", a.budget_gb,
                 "refuse a plan of more GB (of 1e9 bytes), naming what would fit; 0: memory_budget_gb")
      ->check(CLI::NonNegativeNumber);
  add_ranks_options(app, a.ranks);
  app.add_flag("--json", a.json, "print the figures as one JSON object");
  parse(app, arguments);
  const bool several = app.count("--world") > 0;
  if (several) check(a.ranks);

  const TrainOptions options = train_options(load_settings(train_table(), a.config));
  const bool whole_request = !options.data.train.empty();
  std::string request;
  ProgramSpec spec;
  std::shared_ptr<NewShards> shards;  // the text's tokens stay for the run if the request holds
  std::optional<PreparedRun> run;
  if (whole_request) {
    run.emplace(prepare_run(options));
    run->spec.examiner = eval::make_examiner(*run);
    request = describe_request(*run) + "\n";
    spec = run->spec;
    shards = run->data.new_shards;
  } else {
    spec = program_spec_of(options, model_config(options.model));
  }
  const Programs programs = record_programs(spec);
  const double budget_gb = a.budget_gb > 0 ? a.budget_gb : options.memory_budget_gb;
  const auto budget = budget_gb > 0 ? static_cast<int64_t>(budget_gb * 1e9) : -1;
  const PlanFigures figures = plan_figures(
      programs, spec, options.train.batch_size / options.train.micro_batch_size, device_of(options), budget);
  std::optional<ExaminationFigures> examination;
  if (run && options.eval.every > 0) examination = examination_figures(*run, figures, device_of(options));
  const int64_t checkpoint = checkpoint_bytes(*programs.state, tensors_to_save(*programs.state));
  const int64_t snapshot = asks_for_snapshot(options, run ? run->steps : -1)
                               ? Snapshot::bytes_of(*programs.state, tensors_to_save(*programs.state))
                               : 0;
  std::optional<RanksPlan> ranks;
  if (several) {
    ProgramSpec planned = spec;
    planned.distribution.sum_each_micro_batch = options.train.deterministic;
    planned.distribution.bucket_bytes = options.distributed.bucket_mb << 20;
    ranks = plan_ranks(a.ranks, planned, options.train.batch_size / options.train.micro_batch_size);
  }
  if (whole_request) require_free_space(options.output, checkpoint * (options.train.keep_checkpoints + 1));
  if (shards) shards->keep();

  if (a.json) {
    nlohmann::json json = plan_json(figures);
    json["checkpoint_bytes"] = checkpoint;
    json["snapshot_bytes"] = snapshot;
    if (ranks) json["ranks"] = ranks_json(*ranks);
    if (examination) {
      json["examination"] = {{"bytes", examination->bytes},
                             {"tokens", examination->tokens},
                             {"flops", examination->flops},
                             {"times", examination->times},
                             {"share_of_flops", examination->share}};
    }
    std::cout << json.dump() << "\n";
    return 0;
  }
  std::cout << request << describe_plan(figures)
            << fmt::format("checkpoint      {} bytes, {} kept and one more while it is written\n", checkpoint,
                           options.train.keep_checkpoints);
  if (snapshot > 0) {
    std::cout << fmt::format("snapshot        {} bytes of the host's memory, from which it is written\n",
                             snapshot);
  }
  if (examination) std::cout << describe_examination(*examination, figures);
  if (ranks) std::cout << describe_ranks(*ranks);
  if (a.show) print_program(programs, figures.plan);
  return 0;
}

}  // namespace lethe
