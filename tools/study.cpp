// lethe study: a base, several ways to continue it, and a report of what each learned and forgot.
#include "tools/study/study.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "tools/command.h"
#include "tools/commands.h"
#include "tools/study/grid/config.h"
#include "tools/study/grid/runner.h"

namespace lethe {
namespace {

int grid_command(const grid::Request& request, bool dry_run) {
  if (dry_run) {
    std::cout << grid::describe_grid(request);
    return 0;
  }
  const bool done = grid::run_grid(request);
  std::cout << request.output << "/results.jsonl\n"
            << (done ? "all jobs are finished\n" : "the same command goes on with what is left\n");
  return 0;
}

}  // namespace

int study_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Trains a small base, continues it on a new domain with full fine-tuning and LoRA, and reports what "
      "was learned "
      "and what was forgotten. Without arguments: English prose, then Python code.",
      "lethe study");
  ConfigArguments config;
  StudyRequest request{.output = "runs/study"};
  std::string source, target;
  grid::Request asked;
  bool dry_run = false;
  add_config_arguments(app, config, study_table(), ConfigFile::optional);
  app.add_option("--output", request.output, "folder of results.jsonl, figures and report.html");
  app.add_option("--source", source, "file or folder of the old domain, instead of study.source");
  app.add_option("--target", target, "file or folder of the new domain, instead of study.target");
  app.add_flag("--dry-run", dry_run, "of a grid: print its jobs and what they cost, and train nothing");
  app.add_option("--max-minutes", asked.max_minutes,
                 "of a grid: stop after so long; the same command then goes on");
  parse(app, arguments);
  if (grid::is_grid(config.file)) {
    asked.file = config.file;
    asked.assignments = config.assignments;
    asked.output = request.output;
    asked.command = fmt::format("./lethe study {}", fmt::join(arguments, " "));
    return grid_command(asked, dry_run);
  }
  if (dry_run || asked.max_minutes > 0)
    throw UsageError("--dry-run and --max-minutes are for a configuration with the key grid");
  if (!source.empty()) config.assignments.push_back("study.source=" + source);
  if (!target.empty()) config.assignments.push_back("study.target=" + target);

  request.options = study_options(load_settings(study_table(), config));
  request.command = fmt::format("./lethe study{}{}", arguments.empty() ? "" : " ", fmt::join(arguments, " "));
  run_study(request);
  std::cout << request.output << "/report.html\n";
  return 0;
}

}  // namespace lethe
