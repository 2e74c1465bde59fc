#include "engine/backend/cuda_staging.h"

#include <algorithm>
#include <cstring>

namespace lethe {
namespace {

constexpr int64_t kHalf = int64_t{8} << 20;

// The copies of `rows` rows in pieces of at most kHalf bytes.
struct Pieces {
  int64_t row_bytes, rows, pitch, rows_at_once;

  int64_t count() const { return (rows + rows_at_once - 1) / rows_at_once; }
  int64_t rows_of(int64_t piece) const { return std::min(rows_at_once, rows - piece * rows_at_once); }
  int64_t on_device(int64_t piece) const { return piece * rows_at_once * pitch; }
  int64_t on_host(int64_t piece) const { return piece * rows_at_once * row_bytes; }
};

Pieces cut(int64_t pitch, int64_t row_bytes, int64_t rows) {
  return {row_bytes, rows, pitch, std::max<int64_t>(1, kHalf / row_bytes)};
}

}  // namespace

// The halves must outlive the copies.
CudaStaging::~CudaStaging() {
  cudaStreamSynchronize(stream_);
}

CudaStaging::Half& CudaStaging::half(int64_t chunk) {
  Half& found = halves_[static_cast<size_t>(chunk % 2)];
  if (!found.memory) {
    found.memory = allocate_pinned(kHalf);
    found.done = make_event();
  }
  check_cuda(cudaEventSynchronize(found.done.get()), "a copy that was queued before");
  return found;
}

void CudaStaging::upload(void* device, int64_t pitch, const void* host, int64_t row_bytes, int64_t rows) {
  if (row_bytes == 0 || rows == 0) return;
  auto* to = static_cast<std::byte*>(device);
  const auto* from = static_cast<const std::byte*>(host);
  if (row_bytes > kHalf && (pitch != row_bytes || rows > 1)) {  // row by row; each is flat
    for (int64_t r = 0; r < rows; ++r) upload(to + r * pitch, row_bytes, from + r * row_bytes, row_bytes, 1);
    return;
  }
  if (pitch == row_bytes) {  // flat: the bytes are the rows
    rows *= row_bytes;
    pitch = row_bytes = 1;
  }
  const Pieces pieces = cut(pitch, row_bytes, rows);
  for (int64_t p = 0; p < pieces.count(); ++p) {
    Half& h = half(p);
    const auto bytes = static_cast<size_t>(pieces.rows_of(p) * row_bytes);
    std::memcpy(h.memory.get(), from + pieces.on_host(p), bytes);
    check_cuda(
        pitch == row_bytes
            ? cudaMemcpyAsync(to + pieces.on_device(p), h.memory.get(), bytes, cudaMemcpyHostToDevice,
                              stream_)
            : cudaMemcpy2DAsync(to + pieces.on_device(p), static_cast<size_t>(pitch), h.memory.get(),
                                static_cast<size_t>(row_bytes), static_cast<size_t>(row_bytes),
                                static_cast<size_t>(pieces.rows_of(p)), cudaMemcpyHostToDevice, stream_),
        "upload");
    check_cuda(cudaEventRecord(h.done.get(), stream_), "cudaEventRecord");
  }
}

void CudaStaging::download(void* host, const void* device, int64_t pitch, int64_t row_bytes, int64_t rows) {
  if (row_bytes == 0 || rows == 0) return;
  auto* to = static_cast<std::byte*>(host);
  const auto* from = static_cast<const std::byte*>(device);
  if (row_bytes > kHalf && (pitch != row_bytes || rows > 1)) {
    for (int64_t r = 0; r < rows; ++r)
      download(to + r * row_bytes, from + r * pitch, row_bytes, row_bytes, 1);
    return;
  }
  if (pitch == row_bytes) {
    rows *= row_bytes;
    pitch = row_bytes = 1;
  }
  const Pieces pieces = cut(pitch, row_bytes, rows);
  const auto take = [&](int64_t p) {  // what the GPU has copied into its half
    const Half& h = half(p);
    std::memcpy(to + pieces.on_host(p), h.memory.get(), static_cast<size_t>(pieces.rows_of(p) * row_bytes));
  };
  for (int64_t p = 0; p < pieces.count(); ++p) {
    Half& h = half(p);  // its earlier piece was taken in the turn before
    const auto bytes = static_cast<size_t>(pieces.rows_of(p) * row_bytes);
    check_cuda(
        pitch == row_bytes
            ? cudaMemcpyAsync(h.memory.get(), from + pieces.on_device(p), bytes, cudaMemcpyDeviceToHost,
                              stream_)
            : cudaMemcpy2DAsync(h.memory.get(), static_cast<size_t>(row_bytes), from + pieces.on_device(p),
                                static_cast<size_t>(pitch), static_cast<size_t>(row_bytes),
                                static_cast<size_t>(pieces.rows_of(p)), cudaMemcpyDeviceToHost, stream_),
        "download");
    check_cuda(cudaEventRecord(h.done.get(), stream_), "cudaEventRecord");
    if (p > 0) take(p - 1);
  }
  take(pieces.count() - 1);
}

}  // namespace lethe
