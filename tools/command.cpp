#include "tools/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>

#include "tools/options/nearest.h"
#include "tools/options/render.h"

namespace lethe {
namespace {

std::string overview(std::span<const Command> commands) {
  size_t width = 0;
  for (const Command& command : commands) {
    width = std::max(width, command.name.size());
  }
  std::string text =
      "Trains Llama-family language models and shows what each run learned and forgot.\n\n"
      "usage: lethe COMMAND [arguments]\n\n";
  for (const Command& command : commands) {
    text += fmt::format("  {:{}}  {}\n", command.name, width, command.purpose);
  }
  return text +
         "\nlethe COMMAND --help explains one command; lethe --version prints the version.\n"
         "Exit status: 0 done; 2 the request was wrong and nothing was touched; 1 it failed.\n";
}

// A result that never reached its reader is a failure.
int flushed(int status) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
    fmt::print(stderr, "lethe: standard output cannot be written\n");
    return 1;
  }
  return status;
}

int unknown_command(std::span<const Command> commands, const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands) {
    names.emplace_back(command.name);
  }
  fmt::print(stderr, "lethe: unknown command '{}'; did you mean {}? (lethe --help lists all)\n", name,
             nearest(name, names));
  return 2;
}

int run(const Command& command, const std::vector<std::string>& arguments) {
  try {
    return flushed(command.run(arguments));
  } catch (const HelpRequest& help) {
    fmt::print("{}", help.text);
    return flushed(0);
  } catch (const RequestError& error) {
    fmt::print(stderr, "lethe {}: {}\n", command.name, error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "lethe {}: {}\n", command.name, error.what());
    return 1;
  }
}

}  // namespace

void parse(CLI::App& app, const std::vector<std::string>& arguments) {
  try {
    // CLI11 takes them last first.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    throw HelpRequest{app.help()};
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{} (--help explains)", error.what()));
  }
}

void add_set_argument(CLI::App& app, ConfigArguments& arguments) {
  // One assignment per --set: a value may itself hold commas, and CONFIG may follow.
  app.add_option("--set", arguments.assignments, "key=value, over what CONFIG says; may be repeated")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
}

void add_config_arguments(CLI::App& app, ConfigArguments& arguments, const OptionTable& table,
                          ConfigFile file) {
  app.add_option("CONFIG", arguments.file, "YAML configuration")->required(file == ConfigFile::required);
  add_set_argument(app, arguments);
  app.footer(help_text(table));
}

Settings load_settings(const OptionTable& table, const ConfigArguments& arguments) {
  Settings settings(table);
  if (!arguments.file.empty()) {
    settings.read_file(arguments.file);
  }
  for (const std::string& assignment : arguments.assignments) {
    settings.set(assignment);
  }
  return settings;
}

int dispatch(std::span<const Command> commands, const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    fmt::print(stderr, "{}", overview(commands));
    return 2;
  }
  const std::string& name = arguments[0];
  if (name == "--help" || name == "-h" || name == "help") {
    fmt::print("{}", overview(commands));
    return flushed(0);
  }
  if (name == "--version") {
    fmt::print("lethe {}\n", LETHE_VERSION);
    return flushed(0);
  }
  for (const Command& command : commands) {
    if (command.name == name) {
      return run(command, {arguments.begin() + 1, arguments.end()});
    }
  }
  return unknown_command(commands, name);
}

}  // namespace lethe
