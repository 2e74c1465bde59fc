// A subcommand of `lethe`, and what all of them share.
#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.h"
#include "tools/options/settings.h"

namespace CLI {
class App;
}

namespace lethe {

struct Command {
  std::string_view name;
  std::string_view purpose;  // one line for `lethe --help`
  // Takes the arguments after the subcommand's name; returns the exit status. Errors are thrown.
  int (*run)(const std::vector<std::string>& arguments);
};

// `--help` was given: the text goes to standard output, the status is 0.
struct HelpRequest {
  std::string text;
};

// The arguments do not fit the command (exit status 2).
struct UsageError : RequestError {
  using RequestError::RequestError;
};

// Parses into what was bound to `app`. Throws HelpRequest or UsageError.
void parse(CLI::App& app, const std::vector<std::string>& arguments);

// The arguments of a command that takes a configuration: CONFIG and any number of --set key=value.
struct ConfigArguments {
  std::string file;
  std::vector<std::string> assignments;
};
enum class ConfigFile { required, optional };

// Adds --set alone.
void add_set_argument(CLI::App& app, ConfigArguments& arguments);

// Adds both to `app`, and the table's columns to its --help.
void add_config_arguments(CLI::App& app, ConfigArguments& arguments, const OptionTable& table,
                          ConfigFile file);

// Defaults, then the file, then each --set. Throws as Settings does.
Settings load_settings(const OptionTable& table, const ConfigArguments& arguments);

// Runs the command that arguments[0] names, turns errors into a message on standard error and an exit status:
// 0 done, 2 the request was wrong, 1 it failed.
int dispatch(std::span<const Command> commands, const std::vector<std::string>& arguments);

}  // namespace lethe
