// A plausible results.jsonl of any outcome, for tests of what is made of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lethe::report {

struct SampleRun {
  std::string name, label, method;
  int64_t rank = 0;                // 0: null
  double learned = 0, forgot = 0;  // by the last point, in nats
  double learning_rate = 3e-4;
  int64_t nan_from = 1000;  // the point from which the losses are null
};

struct Sample {
  std::vector<SampleRun> runs;
  bool base = true, spectra = true, sweep = true;
  int64_t points = 12, layers = 4;
  double standard_error = 0.01;
};

// Full fine-tuning and LoRA r4, r16, r64, falling as the paper says.
Sample usual_sample();

std::string sample_text(const Sample& sample);

// Written to a file of a unique name in the tests' temporary folder.
std::string sample_file(const Sample& sample);

}  // namespace lethe::report
