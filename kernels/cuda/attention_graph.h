// Attention as a graph of cuDNN's with a plan for it. The one place that sees cudnn-frontend, whose headers
// take longest of all to compile.
#pragma once

#include <cudnn.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/attention_library.h"

namespace lethe::kernels::cuda {

// The names that graph and execution share. cudnn-frontend numbers its own tensors from 1 on, around the
// names that a graph uses: a name that a graph does without must not be one of those numbers.
enum AttentionTensor : int64_t {
  kQ = 1000,
  kK,
  kV,
  kOut,
  kLse,
  kDout,
  kDq,
  kDk,
  kDv,
  kLengths,
  kKeyLengths,   // the same table
  kFirstOffsets  // and one for each of the tensors from kQ to kDv, in their order
};

// Whether a table of lengths goes with the problem.
bool attention_has_lengths(const AttentionProblem& problem);

class AttentionGraph {
 public:
  struct Parts;
  explicit AttentionGraph(std::unique_ptr<Parts> parts);
  ~AttentionGraph();

  // Of cudnn-frontend.
  static int64_t version();

  // With the first of cuDNN's plans that is within the workspace; null if there is none, and `refusal` says
  // why.
  static std::unique_ptr<AttentionGraph> build(const AttentionProblem& problem, cudnnHandle_t handle,
                                               int64_t workspace_bytes, std::string& refusal);
  // What bytes() gave in another process; null if cuDNN does not take it. The handle's stream must be the
  // default one: the plan is run once in a capture that must not be of a stream in use.
  static std::unique_ptr<AttentionGraph> read(const std::vector<uint8_t>& bytes, cudnnHandle_t handle,
                                              int64_t workspace_bytes);
  // Empty if cuDNN cannot write this plan.
  std::vector<uint8_t> bytes() const;

  // Queues it on the handle's stream; empty, or what went wrong.
  std::string run(cudnnHandle_t handle, std::unordered_map<int64_t, void*>& pointers, void* workspace) const;

 private:
  std::unique_ptr<Parts> parts_;
};

}  // namespace lethe::kernels::cuda
