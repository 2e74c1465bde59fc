// Much of the GPU's memory to the host's while programs go on: behind what was queued, on a stream of its
// own.
#pragma once

#include <memory>
#include <span>

#include "engine/backend/cuda_pinned.h"
#include "engine/backend/transfers.h"

namespace lethe {

class CudaCopies {
 public:
  // programs: the stream that they are queued on, which outlives this.
  CudaCopies(cudaStream_t programs, int ordinal);
  ~CudaCopies();
  CudaCopies(const CudaCopies&) = delete;
  CudaCopies& operator=(const CudaCopies&) = delete;

  std::unique_ptr<QueuedCopies> queue(std::span<const Download> parts);

 private:
  class Copies;

  cudaStream_t programs_;
  int ordinal_;
  CudaStream stream_;
};

// Pinned memory. Throws MemoryError with the bytes asked for.
std::shared_ptr<std::byte> try_allocate_pinned(int64_t bytes);

}  // namespace lethe
