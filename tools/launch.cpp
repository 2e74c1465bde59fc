// lethe launch --ranks N -- train CONFIG ...: a run's processes on this machine, started again if one dies.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstring>
#include <optional>

#include "engine/checkpoint.h"
#include "engine/error.h"
#include "tools/command.h"
#include "tools/commands.h"
#include "tools/options/train_options.h"
#include "tools/run/local_ranks.h"

namespace lethe {
namespace {

constexpr const char* kPurpose =
    "Starts a command of lethe as several processes of one run on this machine, with torchrun's variables: "
    "lethe launch --ranks N [--restarts R] -- train CONFIG ... A rank that fails ends the others. SIGTERM "
    "and "
    "SIGINT go to all. The exit status is that of the first rank that failed, 128 + N where signal N ended "
    "it.";

void say(const std::string& text) {
  fmt::print(stderr, "lethe launch: {}\n", text);
}

// Where the run that `train`'s arguments ask for keeps its checkpoints.
std::string checkpoints_of(std::vector<std::string> arguments) {
  CLI::App app("", "lethe train");
  app.allow_extras();
  ConfigArguments config;
  add_config_arguments(app, config, train_table(), ConfigFile::required);
  arguments.erase(arguments.begin());
  parse(app, arguments);
  return load_settings(train_table(), config).get<std::string>("output") + "/checkpoints";
}

int64_t newest_step(const std::string& checkpoints) {
  const std::optional<CheckpointPath> newest = newest_checkpoint(checkpoints);
  return newest ? newest->step : 0;
}

std::string in_words(const RanksEnd& end, int ranks) {
  return end.status > 128 ? fmt::format("rank {} of {} was ended by signal {} ({})", end.rank, ranks,
                                        end.status - 128, strsignal(end.status - 128))
                          : fmt::format("rank {} of {} ended with status {}", end.rank, ranks, end.status);
}

// A request that is wrong stays wrong; who was told to stop does.
bool may_help(const RanksEnd& end) {
  return end.signalled == 0 && end.status != 2;
}

}  // namespace

int launch_command(const std::vector<std::string>& arguments) {
  const auto dashes = std::ranges::find(arguments, "--");
  const std::vector<std::string> command(dashes == arguments.end() ? dashes : dashes + 1, arguments.end());
  CLI::App app(kPurpose, "lethe launch");
  int ranks = 0, restarts = 0;
  app.add_option("--ranks", ranks, "processes")->required()->check(CLI::Range(1, 1024));
  app.add_option(
         "--restarts", restarts,
         "of train: when a rank dies, start all again from the newest checkpoint, so often at most and "
         "as long as there is a newer one each time")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  parse(app, {arguments.begin(), dashes});
  if (command.empty())
    throw UsageError("behind -- belongs a command: lethe launch --ranks 2 -- train CONFIG");
  if (command[0] != "train" && command[0] != "bench")
    throw UsageError(fmt::format("several processes run train or bench, not {}", command[0]));
  if (restarts > 0 && command[0] != "train")
    throw UsageError("--restarts: a " + command[0] + " has no checkpoint to go on from");

  const std::string checkpoints = command[0] == "train" ? checkpoints_of(command) : "";
  std::optional<int64_t> last_restart;  // from which step
  for (int attempt = 0;; ++attempt) {
    const RanksEnd end = run_local_ranks(ranks, command, attempt, restarts);
    if (end.status == 0) return 0;
    const std::string what = in_words(end, ranks);
    if (attempt == restarts || !may_help(end)) {
      say(what);
      return end.status;
    }
    const int64_t step = newest_step(checkpoints);
    if (last_restart && step <= *last_restart) {
      say(fmt::format("{}; no checkpoint since the last restart, from step {}: another would end there too",
                      what, step));
      return end.status;
    }
    last_restart = step;
    say(fmt::format("{}; restart {} of {} from step {}", what, attempt + 1, restarts, step));
  }
}

}  // namespace lethe
