// CUDA's return codes as exceptions.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "engine/error.h"

namespace lethe {

// what: the node or call that failed, read only if it did.
inline void check_cuda(cudaError_t status, const std::string& what) {
  if (status == cudaSuccess) return;
  throw DeviceError(what, std::string(cudaGetErrorName(status)) + ": " + cudaGetErrorString(status));
}

}  // namespace lethe
