#include "engine/backend/cuda_row_sources.h"

#include <algorithm>
#include <array>
#include <thread>

namespace lethe {
namespace {

// A copy takes 40 us at PCIe 5's 50 GB/s, ten times what it takes to start; 12 threads hold 48 MiB pinned.
constexpr int64_t kPieceBytes = int64_t{2} << 20;
constexpr int kMostWorkers = 12;

void copy_piece(const RowPiece& piece, const std::byte* host, cudaStream_t stream) {
  const RowSource& s = *piece.source;
  auto* to = static_cast<std::byte*>(s.device) + piece.first * s.pitch;
  const auto row = static_cast<size_t>(s.row_bytes);
  check_cuda(
      s.pitch == s.row_bytes
          ? cudaMemcpyAsync(to, host, static_cast<size_t>(piece.bytes()), cudaMemcpyHostToDevice, stream)
          : cudaMemcpy2DAsync(to, static_cast<size_t>(s.pitch), host, row, row,
                              static_cast<size_t>(piece.count), cudaMemcpyHostToDevice, stream),
      "upload");
}

// Waits before the buffers go, also where something was thrown.
struct Drained {
  cudaStream_t stream;
  ~Drained() { cudaStreamSynchronize(stream); }
};

void upload_some(int ordinal, std::byte* pinned, int64_t half_bytes, const NextPiece& next) {
  check_cuda(cudaSetDevice(ordinal), "cudaSetDevice");
  const CudaStream stream = make_stream();
  const Drained drained{stream.get()};
  const std::array<CudaEvent, 2> copied{make_event(), make_event()};
  size_t half = 0;
  while (const RowPiece* piece = next()) {
    std::byte* buffer = pinned + static_cast<int64_t>(half) * half_bytes;
    check_cuda(cudaEventSynchronize(copied[half].get()), "a copy that was queued before");
    piece->source->fill(piece->first, piece->count, buffer);
    copy_piece(*piece, buffer, stream.get());
    check_cuda(cudaEventRecord(copied[half].get(), stream.get()), "cudaEventRecord");
    half ^= 1;
  }
  check_cuda(cudaStreamSynchronize(stream.get()), "the uploads");
}

}  // namespace

void upload_sources_to_gpu(std::span<const RowSource> sources, int ordinal, cudaStream_t after) {
  const std::vector<RowPiece> pieces = cut_rows(sources, kPieceBytes);
  if (pieces.empty()) return;
  int64_t half_bytes = 0;  // a row may be longer than a piece should be
  for (const RowPiece& p : pieces) half_bytes = std::max(half_bytes, p.bytes());
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int workers = std::min<int>(std::clamp(cores, 1, kMostWorkers),
                                    static_cast<int>(std::min<size_t>(pieces.size(), 64)));
  const PinnedMemory pinned = allocate_pinned(2 * workers * half_bytes);
  check_cuda(cudaStreamSynchronize(after), "the GPU's queued work");
  share_pieces(pieces, workers, [&](int worker, const NextPiece& next) {
    upload_some(ordinal, pinned.get() + 2 * worker * half_bytes, half_bytes, next);
  });
}

}  // namespace lethe
