// Benchmarks run on one model: which, how, and what came of it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/eval/generation_run.h"
#include "tools/eval/scored_run.h"
#include "tools/eval/scoring_model.h"
#include "tools/eval/summary.h"

namespace lethe::eval {

struct EvaluationRequest {
  std::string model, tokenizer, bos = "auto", output, protocol = "lm-eval";
  std::vector<std::string> tasks;
  std::vector<std::string> texts;
  std::string json_key = "text";
  RunOptions run;
  int64_t batch = 0, tokens = 0;  // 0: what suits the device
  ScoringModelOptions scoring{.device = "auto"};
  GenerationOptions generation;
  bool decode_with_prompt = false;
};

struct EvaluationResults {
  nlohmann::json settings;  // all that the results depend on
  std::vector<Summary> tasks, averages;
  std::vector<nlohmann::json> lines;  // of each document, in the order of tasks and documents
};

// Runs what is asked, with progress on the terminal; goes on with request.output where that was begun. Throws
// RequestError for what cannot be run, before anything is computed or written, and what models and files
// throw.
EvaluationResults evaluate(EvaluationRequest request);

}  // namespace lethe::eval
