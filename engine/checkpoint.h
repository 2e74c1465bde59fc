// A run's state on disk: FOLDER/step-00000100/ with tensors, state.json (all else) and `complete`, which
// lists their sizes (engine/checkpoint_files.h). A folder without a true `complete` does not count, so a kill
// at any moment leaves the newest complete checkpoint as it was. Written beside training by
// engine/checkpoint_writer.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/session.h"

namespace lethe {

struct CheckpointPath {
  std::string directory;
  int64_t step = 0;
};

// Saves the tensors (State indices, by their names) and the text, then removes all but the newest `keep`
// complete checkpoints (0: keeps all) and what interrupted saves left behind. Throws IoError; older
// checkpoints are then whole. For one process.
void save_checkpoint(const std::string& folder, int64_t step, const Session& session,
                     const std::vector<int32_t>& tensors, const std::string& state_json, int64_t keep);

// Bytes that all ranks together will write for the tensors.
int64_t checkpoint_bytes(const State& state, const std::vector<int32_t>& tensors);

// The complete checkpoint with the highest step; warns of newer ones that are not complete. None: nullopt.
std::optional<CheckpointPath> newest_checkpoint(const std::string& folder);

// state.json's text. Throws FormatError.
std::string read_checkpoint_state(const CheckpointPath& checkpoint);

// Fills the tensors, however many ranks wrote them. Throws FormatError naming the file and the tensor if one
// is missing, has another shape or dtype, is there twice, or was not asked for. Of what another rank holds
// nothing but shape and dtype is looked at.
void load_checkpoint(const CheckpointPath& checkpoint, Session& session, const std::vector<int32_t>& tensors);

// What a run must save: trained weights, and the optimizer's state.
std::vector<int32_t> tensors_to_save(const State& state);

}  // namespace lethe
