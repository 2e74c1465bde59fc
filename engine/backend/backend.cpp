// What a backend does that has nothing to queue: everything at once.
#include "engine/backend/backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace lethe {
namespace {

class FinishedRead final : public QueuedRead {
 public:
  FinishedRead(Backend& backend, std::span<const DeviceRange> ranges) {
    for (const DeviceRange& r : ranges) {
      values_.emplace_back(static_cast<size_t>(r.bytes));
      backend.download(values_.back().data(), r.data, r.bytes);
    }
    finished_ = Clock::now();
  }
  bool ready() override { return true; }
  void wait() override {}
  const void* data(size_t range) const override { return values_[range].data(); }
  Clock::time_point finished() const override { return finished_; }

 private:
  std::vector<std::vector<std::byte>> values_;
  Clock::time_point finished_;
};

}  // namespace

void Backend::upload_rows(void* device, int64_t pitch, const void* host, int64_t row_bytes, int64_t rows) {
  if (pitch == row_bytes) return upload(device, host, rows * row_bytes);
  for (int64_t r = 0; r < rows; ++r) {
    upload(static_cast<std::byte*>(device) + r * pitch, static_cast<const std::byte*>(host) + r * row_bytes,
           row_bytes);
  }
}

void Backend::download_rows(void* host, const void* device, int64_t pitch, int64_t row_bytes, int64_t rows) {
  if (pitch == row_bytes) return download(host, device, rows * row_bytes);
  for (int64_t r = 0; r < rows; ++r) {
    download(static_cast<std::byte*>(host) + r * row_bytes, static_cast<const std::byte*>(device) + r * pitch,
             row_bytes);
  }
}

// Host memory: each piece is made where it stays.
void Backend::upload_sources(std::span<const RowSource> sources) {
  constexpr int64_t kPieceBytes = int64_t{2} << 20;
  const std::vector<RowPiece> pieces = cut_rows(sources, kPieceBytes);
  share_pieces(pieces, threads(), [](int, const NextPiece& next) {
    while (const RowPiece* piece = next()) {
      const RowSource& s = *piece->source;
      auto* to = static_cast<std::byte*>(s.device) + piece->first * s.pitch;
      if (s.pitch == s.row_bytes) {
        s.fill(piece->first, piece->count, to);
        continue;
      }
      for (int64_t r = 0; r < piece->count; ++r) s.fill(piece->first + r, 1, to + r * s.pitch);
    }
  });
}

void Backend::queue_uploads(std::span<const Upload> parts) {
  for (const Upload& p : parts) upload(p.device, p.host, p.bytes);
}

// Touched at once: memory that is not there is to be missed before training, not in its midst.
std::shared_ptr<std::byte> Backend::allocate_host(int64_t bytes) {
  const auto rounded =
      static_cast<size_t>((std::max<int64_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment);
  void* memory = std::aligned_alloc(kAlignment, rounded);
  if (!memory) throw MemoryError("host memory", fmt::format("the system refused {} bytes", bytes));
  std::memset(memory, 0, rounded);
  return {static_cast<std::byte*>(memory), std::free};
}

std::unique_ptr<QueuedCopies> Backend::queue_copies(std::span<const Download> parts) {
  for (const Download& p : parts) download_rows(p.host, p.device, p.pitch, p.row_bytes, p.rows);
  return std::make_unique<QueuedCopies>();
}

std::unique_ptr<QueuedRead> Backend::queue_read(std::span<const DeviceRange> ranges) {
  return std::make_unique<FinishedRead>(*this, ranges);
}

}  // namespace lethe
