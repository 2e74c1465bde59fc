// Small values on their way back from the GPU: copied into pinned memory behind the programs, read later.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/backend/cuda_pinned.h"
#include "engine/backend/transfers.h"

namespace lethe {

class CudaReads {
 public:
  // stream: of the programs, which outlives this.
  explicit CudaReads(cudaStream_t stream);
  ~CudaReads();
  CudaReads(const CudaReads&) = delete;
  CudaReads& operator=(const CudaReads&) = delete;

  std::unique_ptr<QueuedRead> queue(std::span<const DeviceRange> ranges);

 private:
  class Read;
  struct Slot {
    PinnedMemory memory;
    int64_t bytes = 0;
    CudaEvent done;
  };

  static std::unique_ptr<Slot> make_slot(int64_t bytes);

  cudaStream_t stream_;
  std::vector<std::unique_ptr<Slot>> spare_;
};

}  // namespace lethe
