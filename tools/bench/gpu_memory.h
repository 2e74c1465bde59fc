// A stream, its events and memory for what is measured beside the engine.
#pragma once

#include <memory>
#include <string>

#include "engine/backend/cuda_check.h"

namespace lethe {

inline std::shared_ptr<void> gpu_memory(int64_t bytes, const std::string& what) {
  void* memory = nullptr;
  check_cuda(cudaMalloc(&memory, static_cast<size_t>(bytes)), what);
  return {memory, [](void* p) { cudaFree(p); }};
}

// Times what is queued on its stream.
class GpuTimer {
 public:
  GpuTimer() {
    cudaStream_t stream = nullptr;
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    stream_ = {stream, [](cudaStream_t s) { cudaStreamDestroy(s); }};
    for (auto& event : events_) {
      cudaEvent_t made = nullptr;
      check_cuda(cudaEventCreate(&made), "cudaEventCreate");
      event = {made, [](cudaEvent_t e) { cudaEventDestroy(e); }};
    }
  }
  cudaStream_t stream() const { return stream_.get(); }

  // Seconds that the GPU spends on what queue() queues.
  template <class Queue>
  double seconds(const Queue& queue) const {
    check_cuda(cudaEventRecord(events_[0].get(), stream()), "cudaEventRecord");
    queue();
    check_cuda(cudaEventRecord(events_[1].get(), stream()), "cudaEventRecord");
    check_cuda(cudaEventSynchronize(events_[1].get()), "a timed piece of work");
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, events_[0].get(), events_[1].get()),
               "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) / 1e3;
  }

 private:
  std::shared_ptr<CUstream_st> stream_;
  std::shared_ptr<CUevent_st> events_[2];
};

}  // namespace lethe
