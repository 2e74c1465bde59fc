// Many runs, one question: what does each way of continuing a base learn of a new domain, and what does it
// forget of the old one?
#pragma once

#include <string>

#include "tools/options/study_options.h"
#include "tools/study/texts.h"

namespace lethe {

struct StudyRequest {
  StudyOptions options;
  std::string output;   // folder of the results
  std::string command;  // as it was typed, for the report
};

// Gathers the texts, trains the base (or finds it in the cache), sweeps learning rates, runs every method,
// and writes OUTPUT/results.jsonl, OUTPUT/runs/* and the report. Throws what its parts throw.
void run_study(const StudyRequest& request);

}  // namespace lethe
