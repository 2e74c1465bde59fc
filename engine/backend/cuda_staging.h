// Whole tensors between the host's memory and the GPU's: through two pinned buffers by turns, so that the
// processor copies one while the GPU copies the other.
#pragma once

#include <array>

#include "engine/backend/cuda_pinned.h"

namespace lethe {

class CudaStaging {
 public:
  // stream: of the programs, so that copies and programs happen in the order they were asked for.
  explicit CudaStaging(cudaStream_t stream) : stream_(stream) {}
  ~CudaStaging();
  CudaStaging(const CudaStaging&) = delete;
  CudaStaging& operator=(const CudaStaging&) = delete;

  // See Backend::upload_rows. An upload returns when the host's bytes are in the staging buffers.
  void upload(void* device, int64_t pitch, const void* host, int64_t row_bytes, int64_t rows);
  void download(void* host, const void* device, int64_t pitch, int64_t row_bytes, int64_t rows);

 private:
  struct Half {
    PinnedMemory memory;
    CudaEvent done;
  };

  Half& half(int64_t chunk);

  cudaStream_t stream_;
  std::array<Half, 2> halves_;
};

}  // namespace lethe
