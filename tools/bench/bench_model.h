// What `lethe bench` trains: a shape, filled with random weights and random tokens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tools/run/programs.h"

namespace lethe {

struct BenchRequest {
  std::string shape = "mini";   // mini, 135m, or the path of a config.json
  std::string method = "full";  // full, lora
  int64_t rank = 16;            // of the adapters of all seven maps
  int64_t batch = 0;            // sequences a step; 0: the shape's own
  int64_t seq = 0;              // tokens a sequence; 0: the shape's own
  int64_t steps = 12;           // pairs of one step and one pass of sgemm
  int64_t threads = 0;          // 0: all cores
  bool profile = false;
};

// Checked, with the shape's own batch and sequence filled in. Throws ConfigError, and FormatError for a
// config.json that is none.
ProgramSpec bench_spec(BenchRequest& request);

// One full batch of documents as long as the sequence, every token but the last a target.
struct RandomBatch {
  RandomBatch(int64_t rows, int64_t tokens, int64_t vocab_size);
  MicroBatch view() const;

  std::vector<int32_t> ids, labels, positions, document_start;
  int64_t targets = 0;
};

}  // namespace lethe
