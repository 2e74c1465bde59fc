// Whether checkpoints can be written while training goes on: the snapshot takes as much of the host's memory
// as the checkpoint has bytes.
#pragma once

#include <cstdint>

#include "engine/comm/comm.h"
#include "engine/session.h"
#include "tools/options/train_options.h"

namespace lethe {

// Whether a snapshot is asked for and of use. steps: of the run; < 0: not known. A run that saves at its end
// alone has nothing to do meanwhile.
bool asks_for_snapshot(const TrainOptions& options, int64_t steps);

// Whether the snapshots of all ranks on each host fit the memory that is available there, less a tenth, and
// where the host computes the memory budget too. The same on all ranks, and collective. Not so: with
// train.checkpoint_async true throws MemoryError, with auto says why.
bool has_room_for_snapshot(const TrainOptions& options, const Session& session, int64_t bytes, Comm& comm);

}  // namespace lethe
