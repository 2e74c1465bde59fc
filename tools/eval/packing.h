// Requests of many lengths as rows of documents: no token of padding between them, and none computed twice
// that several begin with.
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

// One pass. Requests that begin alike are a document that branches: the tokens that they share, and behind
// them what each has of its own; those of one input share it whole.
struct PackedPass {
  std::vector<int32_t> ids, positions, document_start;
  std::vector<int32_t> hidden_from,
      hidden_to;                      // the places in ids that a token does not see (other branches)
  std::vector<int32_t> rows, labels;  // the place in ids whose logits are wanted, and the token that follows
  struct Part {
    size_t request = 0, first = 0;  // of rows
  };
  std::vector<Part> parts;
};

// Requests that are computed together: the first `shared` tokens of all of them are the same.
struct Group {
  std::vector<size_t> requests;  // those of one input stand together
  int64_t shared = 0;
  int64_t tokens = 0, wanted = 0;  // that the group takes in a pass
};

// Neighbours among the requests are joined where that saves tokens and stays within the limits; without
// `branches` only those of one input. Throws DataError for a request that fits in no pass.
std::vector<Group> group_requests(std::span<const ScoreRequest> requests, const PassLimits& limits,
                                  bool branches);

// The groups by tokens, the most first, cut into passes.
std::vector<std::vector<Group>> plan_passes(std::vector<Group> groups, const PassLimits& limits);

PackedPass pack(std::span<const ScoreRequest> requests, const std::vector<Group>& groups);

}  // namespace lethe::eval
