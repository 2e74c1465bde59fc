#include "engine/backend/cuda_copies.h"

#include <fmt/format.h>

#include "engine/error.h"

namespace lethe {
namespace {

// With its time, and without a host that spins while it waits.
CudaEvent make_timed_event() {
  cudaEvent_t made = nullptr;
  check_cuda(cudaEventCreateWithFlags(&made, cudaEventBlockingSync), "cudaEventCreate");
  return CudaEvent(made);
}

void record(const CudaEvent& event, cudaStream_t stream) {
  check_cuda(cudaEventRecord(event.get(), stream), "cudaEventRecord");
}

void make_wait(cudaStream_t stream, const CudaEvent& event) {
  check_cuda(cudaStreamWaitEvent(stream, event.get(), 0), "cudaStreamWaitEvent");
}

}  // namespace

class CudaCopies::Copies final : public QueuedCopies {
 public:
  Copies(cudaStream_t programs, int ordinal) : programs_(programs), ordinal_(ordinal) {}

  void hold_programs() override {
    if (held_) return;
    held_ = make_timed_event();
    released_ = make_timed_event();
    record(held_, programs_);
    make_wait(programs_, done);
    record(released_, programs_);
  }
  // A thread of its own would otherwise begin a context on the first GPU.
  void wait() override {
    check_cuda(cudaSetDevice(ordinal_), "cudaSetDevice");
    check_cuda(cudaEventSynchronize(done.get()), "a copy to the host");
  }
  std::optional<double> held_seconds() override {
    if (!held_) return 0.0;
    if (!is_done(released_)) return std::nullopt;
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, held_.get(), released_.get()), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds) / 1e3;
  }

  CudaEvent done = make_event();

 private:
  cudaStream_t programs_;
  int ordinal_;
  CudaEvent held_, released_;
};

CudaCopies::CudaCopies(cudaStream_t programs, int ordinal)
    : programs_(programs), ordinal_(ordinal), stream_(make_stream()) {}

// What is copied to must outlive the copies, and is not this one's.
CudaCopies::~CudaCopies() {
  cudaStreamSynchronize(stream_.get());
}

std::unique_ptr<QueuedCopies> CudaCopies::queue(std::span<const Download> parts) {
  const CudaEvent begin = make_event();
  record(begin, programs_);
  make_wait(stream_.get(), begin);
  for (const Download& p : parts) {
    if (p.row_bytes == 0 || p.rows == 0) continue;
    const auto row = static_cast<size_t>(p.row_bytes), rows = static_cast<size_t>(p.rows);
    const cudaError_t status =
        p.pitch == p.row_bytes
            ? cudaMemcpyAsync(p.host, p.device, row * rows, cudaMemcpyDeviceToHost, stream_.get())
            : cudaMemcpy2DAsync(p.host, row, p.device, static_cast<size_t>(p.pitch), row, rows,
                                cudaMemcpyDeviceToHost, stream_.get());
    check_cuda(status, "a copy to the host");
  }
  auto copies = std::make_unique<Copies>(programs_, ordinal_);
  record(copies->done, stream_.get());
  return copies;
}

std::shared_ptr<std::byte> try_allocate_pinned(int64_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaHostAlloc(&memory, static_cast<size_t>(bytes), cudaHostAllocDefault);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // told here, and no error of a later call
    throw MemoryError("host memory", fmt::format("the system refused {} pinned bytes", bytes));
  }
  check_cuda(status, "cudaHostAlloc");
  return {static_cast<std::byte*>(memory), CudaDeleter()};
}

}  // namespace lethe
