// Requests of many lengths as rows of documents: no token of padding between them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tools/eval/token_pair.h"

namespace lethe::eval {

// What one pass of the model may hold.
struct PassLimits {
  int64_t tokens = 0;
  int64_t wanted = 0;    // tokens whose logits are computed
  int64_t requests = 0;  // 0: any number
};

// One pass. Each request is a document of its own; those of one input share it.
struct PackedPass {
  std::vector<int32_t> ids, positions, document_start;
  std::vector<int32_t> rows, labels;  // the place in ids whose logits are wanted, and the token that follows
  struct Part {
    size_t request = 0, first = 0;  // of rows
  };
  std::vector<Part> parts;
};

// The requests by length, longest first, cut into passes. Throws DataError for one that fits in none.
std::vector<std::vector<size_t>> plan_passes(std::span<const ScoreRequest> requests,
                                             const PassLimits& limits);

PackedPass pack(std::span<const ScoreRequest> requests, std::span<const size_t> chosen);

}  // namespace lethe::eval
