// lethe eval MODEL: benchmarks, decided as lm-evaluation-harness or the gauntlet decides them.
#include <CLI/CLI.hpp>
#include <iostream>

#include "tools/command.h"
#include "tools/commands.h"
#include "tools/evaluation_options.h"

namespace lethe {

int eval_command(const std::vector<std::string>& arguments) {
  CLI::App app("Runs benchmarks, with the decisions of lm-evaluation-harness or MosaicML's gauntlet.",
               "lethe eval");
  eval::EvaluationRequest request;
  bool json = false;
  app.add_option("MODEL", request.model, "folder of a Hugging Face model, or a GGUF file")->required();
  add_evaluation_options(app, request);
  app.add_option("--adapter", request.scoring.adapter, "folder of a PEFT adapter");
  app.add_flag("--merge", request.scoring.merge, "fold the adapter into the weights in memory");
  app.add_option(
      "--output", request.output,
      "JSONL file that gets each document's result as it comes; where it exists, the rest is computed");
  app.add_flag("--json", json, "print the results as JSON");
  parse(app, arguments);

  eval::EvaluationResults found = eval::evaluate(request);
  if (!json) {
    found.tasks.insert(found.tasks.end(), found.averages.begin(), found.averages.end());
    std::cout << table_of(found.tasks);
    return 0;
  }
  nlohmann::json results{{"settings", found.settings}, {"results", nlohmann::json::array()}};
  for (const eval::Summary& s : found.tasks) results["results"].push_back(json_of(s));
  for (const eval::Summary& s : found.averages) results["averages"].push_back(json_of(s));
  std::cout << results.dump(1) << "\n";
  return 0;
}

}  // namespace lethe
