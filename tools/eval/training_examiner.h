// Benchmarks of a model while it trains.
#pragma once

#include <memory>

#include "tools/run/examiner.h"
#include "tools/run/training_run.h"

namespace lethe::eval {

// Of eval.tasks; nothing where there are none. Log-likelihoods are computed by programs beside the training's
// own, over the same weights and memory; texts by a second model, loaded for the time. Throws RequestError
// for a benchmark that is not known or fits no position of the model, DataError, FormatError.
std::shared_ptr<Examiner> make_examiner(const PreparedRun& run);

}  // namespace lethe::eval
