// The CUDA backend's matrix products: the library, and the algorithms that were kept for this GPU.
#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <vector>

#include "engine/backend/backend.h"
#include "engine/backend/matmul_cache.h"
#include "kernels/matmul.h"

namespace lethe {

class CudaMatmuls {
 public:
  // For the current device.
  explicit CudaMatmuls(const CudaOptions& options);

  kernels::cuda::MatmulLibrary& library() { return library_; }
  const std::string& file() const { return cache_.file(); }

  // Says on the log how many of the products prepared so far have an algorithm that was kept: it may round
  // otherwise than the library's own choice.
  void report();

  // Times what was prepared and keeps the choices. Throws IoError before any work if they cannot be kept.
  std::vector<kernels::MatmulTuning> tune(const kernels::MatmulTuneOptions& options, cudaStream_t stream);

 private:
  MatmulCache cache_;
  kernels::cuda::MatmulLibrary library_;
  int64_t reported_ = 0;
};

}  // namespace lethe
