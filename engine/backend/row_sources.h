// Tensors that are made piece by piece where they are to lie: how weights come from their files without a
// copy of any of them in the host's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace lethe {

struct RowSource {
  void* device = nullptr;
  int64_t pitch = 0, row_bytes = 0, rows = 0;  // in bytes: rows lie `pitch` apart on the device
  // Puts rows [first, first + count) without gaps at `to`, in the host's memory. Called from several threads
  // at once; what it throws ends the upload.
  std::function<void(int64_t first, int64_t count, std::byte* to)> fill;
};

struct RowPiece {
  const RowSource* source = nullptr;
  int64_t first = 0, count = 0;

  int64_t bytes() const { return count * source->row_bytes; }
};

// The rows in pieces of at most `bytes`, but at least one row, in the sources' order.
std::vector<RowPiece> cut_rows(std::span<const RowSource> sources, int64_t bytes);

// Calls work(worker, next) on `workers` threads; next() hands out the pieces in order, each once, and null
// when there are no more or another worker has thrown. Throws what the first of them threw.
using NextPiece = std::function<const RowPiece*()>;
void share_pieces(std::span<const RowPiece> pieces, int workers,
                  const std::function<void(int worker, const NextPiece& next)>& work);

}  // namespace lethe
