// The `lethe` command: the list of its subcommands.
#include <string>
#include <vector>

#include "tools/command.h"
#include "tools/commands.h"

namespace {

constexpr lethe::Command commands[] = {
    {"doctor", "what this machine has, and what of it lethe can use", lethe::doctor_command},
    {"options", "every key of a configuration; checks a configuration", lethe::options_command},
};

}  // namespace

int main(int count, char** values) {
  return lethe::dispatch(commands, std::vector<std::string>(values + (count > 0 ? 1 : 0), values + count));
}
