// lethe lint ADAPTER|CONFIG: what an adapter's target will not load, or would compute otherwise.
#include "tools/run/lint.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/files/json_file.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/hub/model.h"
#include "tools/run/model_source.h"

namespace lethe {
namespace {

// If it is on this machine.
std::optional<LlamaConfig> base_of(const nlohmann::json& adapter) {
  const auto base = adapter.find("base_model_name_or_path");
  if (base == adapter.end() || !base->is_string()) return std::nullopt;
  const std::string path = cached_model(base->get<std::string>(), HubPart::config);
  if (!std::filesystem::exists(path + "/config.json")) return std::nullopt;
  return parse_config(path + "/config.json");
}

void print(const LintFinding& f, bool json) {
  if (json) {
    std::cout << nlohmann::json{{"target", f.target},
                                {"key", f.key},
                                {"value", f.value},
                                {"outcome", f.outcome.empty() ? "note" : f.outcome},
                                {"why", f.why}}
                     .dump()
              << "\n";
    return;
  }
  std::cout << fmt::format("{:<10} {:<20} {:<20} {}: {}\n", f.target, f.outcome.empty() ? "note" : f.outcome,
                           f.key, f.value, f.why);
}

}  // namespace

int lint_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Says of an adapter's folder, or of a configuration that would train one, what its target will not "
      "load "
      "or would compute otherwise. Exit status 1 if there is any such thing.",
      "lethe lint");
  ConfigArguments config;
  std::vector<std::string> targets = lint_targets();
  bool json = false;
  app.add_option("ADAPTER|CONFIG", config.file,
                 "a PEFT adapter (a folder, or OWNER/NAME at the hub), or a YAML configuration")
      ->required();
  add_set_argument(app, config);
  app.add_option("--for", targets, "of peft, vllm, llama.cpp; without it all of them")->delimiter(',');
  app.add_flag("--json", json, "one JSON object a line");
  parse(app, arguments);

  nlohmann::json adapter;
  std::optional<LlamaConfig> model;
  const std::string file = local_model(config.file);
  if (std::filesystem::is_directory(file)) {
    const std::string path = file + "/adapter_config.json";
    adapter = parse_json(path, read_text(path));
    if (!adapter.is_object()) throw FormatError(path, "", "is no JSON object");
    model = base_of(adapter);
  } else {
    const TrainOptions options = train_options(load_settings(train_table(), config));
    if (options.method != "lora")
      throw ConfigError("method", "must be lora: full fine-tuning makes no adapter");
    model = model_config(options.model);
    adapter = nlohmann::json::parse(lora_config_text(*lora_of(options, *model)));
  }
  bool fails = false;
  for (const LintFinding& finding : lint_adapter(adapter, model, targets)) {
    fails = fails || !finding.outcome.empty();
    print(finding, json);
  }
  return fails ? 1 : 0;
}

}  // namespace lethe
