// Another program, run to its end without a shell.
#pragma once

#include <string>
#include <vector>

namespace lethe {

struct ProcessResult {
  int status = 0;      // exit status; 128 + the signal's number if one ended it; 127: not found
  std::string output;  // what it wrote to standard output; standard error goes to ours
};

// arguments[0] is looked up in PATH. Throws RunError if the system cannot start any process.
ProcessResult run_process(const std::vector<std::string>& arguments);

// Where the scripts that gather texts lie: tools/setup of the checkout that was built, or share/lethe/setup
// beside an installed command. Throws RunError if neither is there.
std::string setup_folder();

}  // namespace lethe
