// Benchmarks by their names, and the passes that their requests need.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/eval/generation_run.h"
#include "tools/eval/packing.h"
#include "tools/eval/scored_run.h"

namespace lethe::eval {

using Runs = std::vector<std::unique_ptr<ScoredRun>>;
using WrittenRuns = std::vector<std::unique_ptr<GenerationRun>>;

// Those among `names` that are decided by log-likelihoods, in their order; protocol: lm-eval or gauntlet.
// Throws RequestError for a name that the protocol does not know, and what opening documents throws.
Runs open_scored_tasks(const std::string& protocol, const std::vector<std::string>& names,
                       const RunOptions& options);

// Those for which texts are written; by the gauntlet none. Throws RequestError where programs would have to
// run and this kernel gives no sandbox, and what opening documents throws.
WrittenRuns open_written_tasks(const std::string& protocol, const std::vector<std::string>& names,
                               const RunOptions& options, const GenerationOptions& generation);

// A pass of about `tokens` tokens that holds the longest request, and as many logits as the tasks ask for on
// the whole. requests_at_once: 0 for as many as fit. branches: of Scorer.
PassLimits size_of_pass(const Runs& runs, int64_t tokens, int64_t requests_at_once, bool branches);

}  // namespace lethe::eval
