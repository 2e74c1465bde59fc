// lethe forget BASE TUNED: what tuning cost, benchmark by benchmark, with its error.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "engine/files/file_replacement.h"
#include "engine/log.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/eval/forgetting_figure.h"
#include "tools/eval/result_log.h"
#include "tools/evaluation_options.h"

namespace lethe {
namespace {

using eval::EvaluationRequest;
using eval::EvaluationResults;

struct ForgetArguments {
  std::string base, tuned, output;
  EvaluationRequest request;
  int64_t resamplings = 10000;
  bool merge = false, json = false;
};

// A file of `lethe eval --output`, as long as it has any results.
EvaluationResults read_results(const std::string& file) {
  EvaluationResults found;
  eval::read_result_file(file, found.settings, found.lines);
  if (found.lines.empty()) throw DataError(file + ": holds no results");
  return found;
}

EvaluationResults results_of(const ForgetArguments& a, const std::string& model, const std::string& name) {
  if (model.ends_with(".jsonl")) return read_results(model);
  EvaluationRequest request = a.request;
  request.model = model;
  if (std::filesystem::exists(model + "/adapter_config.json")) {
    request.model = a.base;
    request.scoring.adapter = model;
    request.scoring.merge = a.merge;
  }
  if (!a.output.empty()) request.output = fmt::format("{}/{}.jsonl", a.output, name);
  log::info(fmt::format("{}: {}", name, model));
  return eval::evaluate(request);
}

void add_options(CLI::App& app, ForgetArguments& a) {
  const char* kinds = "a model (folder, GGUF file), or the .jsonl that lethe eval --output wrote of one";
  app.add_option("BASE", a.base, kinds)->required();
  app.add_option("TUNED", a.tuned, fmt::format("{}; or the folder of a PEFT adapter of BASE", kinds))
      ->required();
  add_evaluation_options(app, a.request);
  app.add_flag("--merge", a.merge, "fold the adapter into the weights in memory");
  app.add_option(
      "--output", a.output,
      "folder that gets forgetting.json, forgetting.svg and .png, and both models' results as they "
      "come; where it holds these, the rest is computed");
  app.add_option("--resamplings", a.resamplings, "of the documents, for the error")
      ->check(CLI::Range(int64_t{100}, int64_t{10'000'000}));
  app.add_flag("--json", a.json, "print the results as JSON");
}

}  // namespace

int forget_command(const std::vector<std::string>& arguments) {
  CLI::App app("What a tuned model forgot and gained beside its base, document by document.", "lethe forget");
  ForgetArguments a;
  add_options(app, a);
  parse(app, arguments);
  if (std::filesystem::exists(a.tuned + "/adapter_config.json") && a.base.ends_with(".jsonl"))
    throw UsageError("TUNED is an adapter: BASE must be the model that it belongs to, not a file of results");

  const EvaluationResults base = results_of(a, a.base, "base"), tuned = results_of(a, a.tuned, "tuned");
  const eval::Forgetting found = eval::forgetting_of(base, tuned, a.resamplings);
  nlohmann::json json = json_of(found);
  json["base"] = base.settings;
  json["tuned"] = tuned.settings;
  json["resamplings"] = a.resamplings;
  if (!a.output.empty()) {
    std::filesystem::create_directories(a.output);
    replace_file(a.output + "/forgetting.json", json.dump(1) + "\n");
    eval::write_forgetting_figure(a.output, found, fmt::format("What {} changed", a.tuned));
  }
  std::cout << (a.json ? json.dump(1) + "\n" : table_of(found));
  return 0;
}

}  // namespace lethe
