// A trace in a build without CUDA: refused, and so never used.
#include "engine/backend/cuda_trace.h"
#include "engine/error.h"

namespace lethe {

struct CudaTrace::Parts {};

std::shared_ptr<CudaTrace> CudaTrace::load() {
  throw DeviceError("--trace", "needs a build with CUDA and CUPTI's headers (LETHE_CUDA=ON)");
}

CudaTrace::CudaTrace(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
CudaTrace::~CudaTrace() = default;
void CudaTrace::start() {}
void CudaTrace::stop() {}
bool CudaTrace::running() const {
  return false;
}
void CudaTrace::push(Paths) {}
void CudaTrace::pop() {}
void CudaTrace::begin_range(const std::string&) {}
void CudaTrace::end_range() {}
Timeline CudaTrace::take() {
  return {};
}

}  // namespace lethe
