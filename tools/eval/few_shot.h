// Which documents stand as examples before which.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/eval/choice_task.h"

namespace lethe::eval {

// For each document the places in `pool` of its examples, in the order of the prompt, as
// lm-evaluation-harness (or the gauntlet, whose pool are the documents) draws them: one generator for all
// documents, whose state goes on from one to the next, so that what a document gets depends on all before it.
// Throws DataError if the pool is too small.
std::vector<std::vector<int64_t>> draw_shots(const ChoiceTask& task, const Documents& documents,
                                             const Documents& pool, int64_t shots, uint64_t seed = 1234);

}  // namespace lethe::eval
