// `lethe options`: the option tables, and a configuration held against them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "tools/command.h"
#include "tools/commands.h"
#include "tools/options/render.h"
#include "tools/options/study_options.h"
#include "tools/options/train_options.h"

namespace lethe {
namespace {

// Throws what is wrong with the configuration; prints each value and where it came from.
void check(const OptionTable& table, const ConfigArguments& arguments, bool json) {
  const Settings settings = load_settings(table, arguments);
  if (&table == &train_table()) {
    train_options(settings);
  } else {
    study_options(settings);
  }
  fmt::print("{}", json ? values_json(settings) : values_text(settings));
}

}  // namespace

int options_command(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Prints every key of a configuration as markdown (docs/options.md is this text), or checks a "
      "configuration and prints each value and where it came from.",
      "lethe options");
  std::string name;
  ConfigArguments config;
  bool json = false;
  app.add_option("TABLE", name, "train or study; both if left out")
      ->check(CLI::IsMember({train_table().name(), study_table().name()}));
  app.add_option("--check", config.file, "configuration to check against TABLE (train if left out)")
      ->type_name("CONFIG");
  add_set_argument(app, config);
  app.add_flag("--json", json, "print JSON");
  app.footer(help_text(train_table()) + "\n" + help_text(study_table()));
  parse(app, arguments);

  const OptionTable& table = name == study_table().name() ? study_table() : train_table();
  if (!config.file.empty() || !config.assignments.empty()) {
    check(table, config, json);
    return 0;
  }
  const std::vector<const OptionTable*> tables =
      name.empty() ? std::vector{&train_table(), &study_table()} : std::vector{&table};
  fmt::print("{}", json ? json_text(tables) : markdown_page(tables));
  return 0;
}

}  // namespace lethe
