#include "engine/backend/row_sources.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace lethe {

std::vector<RowPiece> cut_rows(std::span<const RowSource> sources, int64_t bytes) {
  std::vector<RowPiece> pieces;
  for (const RowSource& source : sources) {
    if (source.row_bytes == 0) continue;
    const int64_t at_once = std::max<int64_t>(1, bytes / source.row_bytes);
    for (int64_t first = 0; first < source.rows; first += at_once)
      pieces.push_back({&source, first, std::min(at_once, source.rows - first)});
  }
  return pieces;
}

void share_pieces(std::span<const RowPiece> pieces, int workers,
                  const std::function<void(int worker, const NextPiece& next)>& work) {
  std::atomic<size_t> handed_out = 0;
  std::atomic<bool> failed = false;
  std::exception_ptr first;
  std::mutex mutex;
  const NextPiece next = [&]() -> const RowPiece* {
    const size_t i = failed ? pieces.size() : handed_out++;
    return i < pieces.size() ? &pieces[i] : nullptr;
  };
  const auto guarded = [&](int worker) {
    try {
      work(worker, next);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
      failed = true;
    }
  };
  workers = std::max(1, std::min<int>(workers, static_cast<int>(std::min<size_t>(pieces.size(), 1 << 10))));
  {
    std::vector<std::jthread> threads;
    for (int w = 1; w < workers; ++w) threads.emplace_back(guarded, w);
    guarded(0);
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace lethe
