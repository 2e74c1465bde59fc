// How fast one GPU takes a step: as `lethe bench` measured it, or as a share of a peak rate.
#pragma once

#include <cstdint>
#include <string>

#include "tools/run/programs.h"

namespace lethe {

struct Measured {
  double step_seconds = 0;  // of one micro-batch and the update, on one GPU
  int64_t tokens = 0;       // of the micro-batch
  std::string source;       // in words
};

// The last line of a file of `lethe bench`'s lines, or of rows that hold one as "lethe"
// (docs/benchmarks.jsonl), that measured one process with this model's number of parameters and sequence,
// this method and rank. Throws IoError, FormatError for a line that is no JSON object, and ConfigError where
// no line fits, saying what there is.
Measured read_measured(const std::string& file, const ProgramSpec& spec);

// Of `flops` at `share` of a peak rate. Throws ConfigError for a rate or a share that is not above 0, and for
// a share above 1.
Measured assumed(double flops, double peak_tflops, double share, const ProgramSpec& spec);

}  // namespace lethe
