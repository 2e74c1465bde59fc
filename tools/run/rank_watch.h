// What each rank of a training run tells while it runs: to rank 0's watch, in a log of its own, on the
// screen.
#pragma once

#include <memory>
#include <string>

#include "engine/comm/launch.h"
#include "engine/comm/watch.h"
#include "tools/run/training_run.h"

namespace lethe {

// A failure of `lethe train`: on standard error and in this rank's own log.
void tell_failure(const std::string& text);

// Begins output/logs/rank-N.log: what log:: was told since keep_for_file() goes there, and all that follows.
// Throws IoError, std::filesystem::filesystem_error.
void begin_log_of_rank(const Comm& comm, const std::string& output, const std::string& device);

// Ends this process while its main thread waits; the launcher ends those that cannot. Null without a store:
// in one process. The run must outlive it.
std::unique_ptr<Watch> watch_ranks(const Ranks& ranks, const TrainingRun& run, double hang_seconds);

// For the progress display; empty where no rank is notably slower, or nothing is watched.
std::string slowest_rank(const Watch* watching);

// TrainingRun::train. A loss that is no number is known to all ranks: SharedFailure, with the table of where
// each was. What one rank alone meets, rank 0's watch tells for it and ends all; where that does not happen
// in time, it is thrown on. watching: null in one process.
int64_t train_watched(TrainingRun& run, const RunObserver& observer, Watch* watching);

}  // namespace lethe
