// A whole run in miniature: two texts with weights, a held-out one, a tokenizer and a fresh model, for tests
// that interrupt, break and resume it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/files.h"
#include "tools/run/training_run.h"

namespace lethe::test {

// Files made once per process: stories.txt, verses.jsonl, other.txt and tokenizer.model.
const std::string& small_texts();

// A configuration of eight steps whose output and cache lie in `folder`: fresh model, accumulation, two
// weighted sources, evaluation every second step.
std::string small_config(const std::string& folder);

// The options of small_config with `assignments` ("key=value") over it.
TrainOptions small_options(const std::string& folder, const std::vector<std::string>& assignments = {});

// What the run is left with.
struct Ran {
  int64_t last = 0;
  std::string state;                 // bytes of the last checkpoint's tensors
  std::string about;                 // and of its state.json
  std::string exported;              // bytes of the trained weights as they are handed on
  std::vector<std::string> metrics;  // lines without the keys that tell the time
};

// Trains with a RunLog until the end, or until `stop_after` steps (0: never); only a finished run exports.
Ran train_small(const TrainOptions& options, bool resume, int64_t stop_after = 0);

// The bytes of a checkpoint's tensors by name, whichever ranks wrote them.
std::map<std::string, std::string> saved_tensors(const std::string& directory);

// metrics.jsonl's lines without rates and seconds, and without those of checkpoints.
std::vector<std::string> timeless_metrics(const std::string& file);

// Tensors of two sessions that a checkpoint keeps; the names of those that differ in any bit.
std::vector<std::string> differing_tensors(const Session& a, const Session& b);

}  // namespace lethe::test
