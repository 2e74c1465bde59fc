// The files of a checkpoint, FOLDER/step-00000100/: tensors in as many files as ranks wrote it, state.json
// and, written last, `complete`, which lists the others' sizes. All of it is written under another name, and
// one rename makes it the checkpoint.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/error.h"

namespace lethe::checkpoint_files {

// "state.safetensors", of several ranks "state-00002-of-00004.safetensors" for rank 1 of 4.
std::string tensors_name(int rank, int world);
extern const char* const kState;

std::string path(const std::string& folder, int64_t step);
// Where it is written.
std::string partial_path(const std::string& folder, int64_t step);

// The names of the files with tensors; none if the checkpoint is not complete.
std::vector<std::string> tensor_files(const std::string& directory);
bool is_complete(const std::string& directory);

struct Found {
  std::string directory;
  int64_t step = 0;
};
// All that have the name of a checkpoint, the newest first.
std::vector<Found> list(const std::string& folder);

// An empty folder to write into; what an interrupted save left there is gone. Throws IoError, like all below.
void begin(const std::string& folder, int64_t step, const std::string& state_json);
// All `world` files are there: makes the folder the checkpoint. Then removes all but the newest `keep`
// complete ones (0: none) and what interrupted saves left behind.
void commit(const std::string& folder, int64_t step, int world, int64_t keep);
// After a failure; says nothing of one of its own.
void discard(const std::string& folder, int64_t step);

}  // namespace lethe::checkpoint_files
