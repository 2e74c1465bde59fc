// lethe study: a base, several ways to continue it, and a report of what each learned and forgot.
#include "tools/study/study.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "tools/command.h"
#include "tools/commands.h"

namespace lethe {

int study_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Trains a small base, continues it on a new domain with full fine-tuning and LoRA, and reports what "
      "was learned "
      "and what was forgotten. Without arguments: English prose, then Python code.",
      "lethe study");
  ConfigArguments config;
  StudyRequest request{.output = "runs/study"};
  std::string source, target;
  add_config_arguments(app, config, study_table(), ConfigFile::optional);
  app.add_option("--output", request.output, "folder of results.jsonl, figures and report.html");
  app.add_option("--source", source, "file or folder of the old domain, instead of study.source");
  app.add_option("--target", target, "file or folder of the new domain, instead of study.target");
  parse(app, arguments);
  if (!source.empty()) config.assignments.push_back("study.source=" + source);
  if (!target.empty()) config.assignments.push_back("study.target=" + target);

  request.options = study_options(load_settings(study_table(), config));
  request.command = fmt::format("./lethe study{}{}", arguments.empty() ? "" : " ", fmt::join(arguments, " "));
  run_study(request);
  std::cout << request.output << "/report.html\n";
  return 0;
}

}  // namespace lethe
