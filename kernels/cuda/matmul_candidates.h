// The algorithms that compete for a product, and which of them wins.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "kernels/cuda/matmul_plan.h"

namespace lethe::kernels::cuda {

// Throws std::runtime_error naming the call.
void check_tuning(cudaError_t status, const char* what);

struct Event {
  Event() { check_tuning(cudaEventCreate(&event), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t event = nullptr;
};

struct Candidate {
  MatmulAlgorithm algorithm{};
  bool runs = true;       // until it is refused or gives other bits
  bool in_finals = true;  // until it is known to be slow
  std::vector<double> microseconds;
  uint64_t bits = 0;  // a hash of its first result
  Event before, after;

  // Of at least one time.
  double median() const;
};
using Candidates = std::vector<std::unique_ptr<Candidate>>;

// What the library offers, each once, the one that is used untuned first; then our own.
Candidates candidates_of(cublasLtHandle_t handle, const MatmulLibrary::Plan& plan);

// Leaves to the finals those that are about as fast as the fastest so far, and the one that is used untuned.
void choose_finalists(const Candidates& candidates);

// Fills in the result and gives the plan the winner: the fastest that runs, but the one that is used untuned
// where no other is faster by more than what timing scatters.
void choose_winner(const Candidates& candidates, MatmulLibrary::Plan& plan, MatmulTuning& result);

}  // namespace lethe::kernels::cuda
