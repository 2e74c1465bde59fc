#include "engine/backend/cuda_inputs.h"

#include <algorithm>
#include <cstring>

namespace lethe {
namespace {

constexpr int64_t kLeastRing = int64_t{16} << 20;
constexpr int64_t kRunAlignment = 256;  // of a copy's first byte

int64_t aligned(int64_t bytes) {
  return (bytes + kRunAlignment - 1) / kRunAlignment * kRunAlignment;
}

// Parts [first, last) that follow each other on the device without a gap.
size_t end_of_run(std::span<const Upload> parts, size_t first, int64_t& bytes) {
  bytes = parts[first].bytes;
  size_t last = first + 1;
  while (last < parts.size() && parts[last].device == static_cast<std::byte*>(parts[first].device) + bytes) {
    bytes += parts[last++].bytes;
  }
  return last;
}

}  // namespace

CudaInputs::CudaInputs(cudaStream_t compute)
    : compute_(compute), stream_(make_stream()), programs_done_(make_event()) {}

// The ring must outlive the copies out of it.
CudaInputs::~CudaInputs() {
  cudaStreamSynchronize(stream_.get());
}

void CudaInputs::retire_oldest() {
  tail_ = flights_.front().end;
  spare_.push_back(std::move(flights_.front().copied));
  flights_.pop_front();
}

std::byte* CudaInputs::take(int64_t bytes) {
  if (2 * bytes > capacity_) {  // the first call, or one larger than any before
    check_cuda(cudaStreamSynchronize(stream_.get()), "copies of inputs");
    while (!flights_.empty()) retire_oldest();
    capacity_ = std::max(kLeastRing, aligned(4 * bytes));
    ring_ = allocate_pinned(capacity_);
    head_ = tail_ = 0;
  }
  while (!flights_.empty() && is_done(flights_.front().copied)) retire_oldest();
  const int64_t place = head_ % capacity_;
  if (place + bytes > capacity_) head_ += capacity_ - place;
  while (head_ + bytes - tail_ > capacity_ && !flights_.empty()) {
    check_cuda(cudaEventSynchronize(flights_.front().copied.get()), "copies of inputs");
    retire_oldest();
  }
  if (flights_.empty()) tail_ = head_;
  std::byte* found = ring_.get() + head_ % capacity_;
  head_ += bytes;
  return found;
}

void CudaInputs::queue(std::span<const Upload> parts) {
  int64_t total = 0;
  for (const Upload& p : parts) total += aligned(p.bytes);
  if (total == 0) return;
  std::byte* at = take(total);
  check_cuda(cudaEventRecord(programs_done_.get(), compute_), "cudaEventRecord");
  check_cuda(cudaStreamWaitEvent(stream_.get(), programs_done_.get(), 0), "cudaStreamWaitEvent");
  for (size_t first = 0, last = 0; first < parts.size(); first = last) {
    int64_t bytes = 0;
    last = end_of_run(parts, first, bytes);
    if (bytes == 0) continue;
    std::byte* packed = at;
    for (size_t p = first; p < last; ++p) {
      if (parts[p].bytes > 0) std::memcpy(packed, parts[p].host, static_cast<size_t>(parts[p].bytes));
      packed += parts[p].bytes;
    }
    check_cuda(cudaMemcpyAsync(parts[first].device, at, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                               stream_.get()),
               "a copy of inputs");
    at += aligned(bytes);
  }
  if (spare_.empty()) spare_.push_back(make_event());
  flights_.push_back({std::move(spare_.back()), head_});
  spare_.pop_back();
  const cudaEvent_t copied = flights_.back().copied.get();
  check_cuda(cudaEventRecord(copied, stream_.get()), "cudaEventRecord");
  check_cuda(cudaStreamWaitEvent(compute_, copied, 0), "cudaStreamWaitEvent");
}

}  // namespace lethe
