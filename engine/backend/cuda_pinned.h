// Host memory that the GPU's copy engines reach by themselves, and events to know when they are done.
#pragma once

#include <cstddef>
#include <memory>

#include "engine/backend/cuda_check.h"

namespace lethe {

struct CudaDeleter {
  void operator()(std::byte* pinned) const { cudaFreeHost(pinned); }
  void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }
  void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
};
using PinnedMemory = std::unique_ptr<std::byte, CudaDeleter>;
using CudaEvent = std::unique_ptr<CUevent_st, CudaDeleter>;
using CudaStream = std::unique_ptr<CUstream_st, CudaDeleter>;

// Whether what was recorded is done; throws what failed.
inline bool is_done(const CudaEvent& event) {
  const cudaError_t status = cudaEventQuery(event.get());
  if (status == cudaErrorNotReady) {
    cudaGetLastError();  // an answer and no error, but CUDA remembers it as one
    return false;
  }
  check_cuda(status, "the GPU's queued work");
  return true;
}

inline PinnedMemory allocate_pinned(int64_t bytes) {
  void* memory = nullptr;
  check_cuda(cudaHostAlloc(&memory, static_cast<size_t>(bytes), cudaHostAllocDefault), "cudaHostAlloc");
  return PinnedMemory(static_cast<std::byte*>(memory));
}

// The host sleeps where it waits for one: a training step takes long enough.
inline CudaEvent make_event() {
  cudaEvent_t made = nullptr;
  check_cuda(cudaEventCreateWithFlags(&made, cudaEventDisableTiming | cudaEventBlockingSync),
             "cudaEventCreate");
  return CudaEvent(made);
}

inline CudaStream make_stream() {
  cudaStream_t made = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cudaStreamCreate");
  return CudaStream(made);
}

}  // namespace lethe
