// The way of a program's inputs to the GPU: through a ring of pinned memory, on a stream of their own.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "engine/backend/cuda_pinned.h"
#include "engine/backend/transfers.h"

namespace lethe {

// There is one place on the device, not two: the copies wait until the programs queued so far are done with
// it, which costs the GPU some tens of microseconds a micro-batch and no memory beside the plan.
class CudaInputs {
 public:
  // compute: the stream of the programs, which outlives this.
  explicit CudaInputs(cudaStream_t compute);
  ~CudaInputs();
  CudaInputs(const CudaInputs&) = delete;
  CudaInputs& operator=(const CudaInputs&) = delete;

  // See Backend::queue_uploads. The host waits only where copies of more than the ring's bytes are under way.
  void queue(std::span<const Upload> parts);

 private:
  struct Flight {
    CudaEvent copied;
    int64_t end = 0;  // when it is done, the ring is free up to here
  };

  std::byte* take(int64_t bytes);
  void retire_oldest();

  cudaStream_t compute_;
  CudaStream stream_;
  CudaEvent programs_done_;
  PinnedMemory ring_;
  int64_t capacity_ = 0;
  int64_t head_ = 0, tail_ = 0;  // bytes ever taken and ever given back; modulo capacity_ a place
  std::deque<Flight> flights_;
  std::vector<CudaEvent> spare_;
};

}  // namespace lethe
