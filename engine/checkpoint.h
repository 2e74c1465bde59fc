// A run's state on disk: FOLDER/step-00000100/ with state.safetensors (tensors), state.json (all else) and,
// written last, `complete`, which lists the two files' sizes. A folder without a true `complete` does not
// count, so a kill at any moment leaves the newest complete checkpoint as it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/comm/comm.h"
#include "engine/session.h"

namespace lethe {

struct CheckpointPath {
  std::string directory;
  int64_t step = 0;
};

// Saves the tensors (State indices, by their names) and the text, then removes all but the newest `keep`
// complete checkpoints (0: keeps all) and what interrupted saves left behind. Throws IoError; older
// checkpoints are then whole. comm: all ranks call this, the first writes, what only another holds is sent to
// it; the file is the same for any number of ranks. The others return when nothing more is asked of them, not
// when it is written.
void save_checkpoint(const std::string& folder, int64_t step, const Session& session,
                     const std::vector<int32_t>& tensors, const std::string& state_json, int64_t keep,
                     Comm* comm = nullptr);

// Bytes that save_checkpoint will write for the tensors.
int64_t checkpoint_bytes(const State& state, const std::vector<int32_t>& tensors);

// The complete checkpoint with the highest step; warns of newer ones that are not complete. None: nullopt.
std::optional<CheckpointPath> newest_checkpoint(const std::string& folder);

// state.json's text. Throws FormatError.
std::string read_checkpoint_state(const CheckpointPath& checkpoint);

// Fills the tensors. Throws FormatError naming the file and the tensor if one is missing, has another shape
// or dtype, or if the file holds one that was not asked for. What another rank holds is checked and passed
// over.
void load_checkpoint(const CheckpointPath& checkpoint, Session& session, const std::vector<int32_t>& tensors);

// What a run must save: trained weights, and the optimizer's state.
std::vector<int32_t> tensors_to_save(const State& state);

}  // namespace lethe
