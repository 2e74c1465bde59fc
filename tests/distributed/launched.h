// `lethe train` in several processes, as a person starts it.
#pragma once

#include <string>
#include <vector>

#include "tests/files.h"
#include "tests/run/process.h"
#include "tests/run/small_run.h"

namespace lethe::test {

using Strings = std::vector<std::string>;

// The arguments of `lethe` that train the small run in a folder, each process on one thread.
Strings train(const Folder& folder, const Strings& assignments, bool resume = false);

int64_t count_of(const std::string& text, const std::string& part);

// Returns when the run in the folder has one, or has ended.
void wait_for_checkpoint(const RunningCommand& command, const Folder& folder);

// A launcher may leave the system a moment to end what it has killed.
void expect_gone(const std::vector<pid_t>& processes);

}  // namespace lethe::test
