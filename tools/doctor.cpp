// `lethe doctor`: what this machine has, and what of it lethe can use.
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "tools/command.h"
#include "tools/commands.h"
#include "tools/doctor/machine.h"

namespace lethe {

int doctor_command(const std::vector<std::string>& arguments) {
  CLI::App app("Says what this machine has and what of it lethe can use. Takes about a second.",
               "lethe doctor");
  bool json = false;
  app.add_flag("--json", json, "print JSON");
  parse(app, arguments);
  const Machine machine = examine_machine(LETHE_VERSION);
  fmt::print("{}", json ? report_json(machine) : report_text(machine));
  return 0;
}

}  // namespace lethe
