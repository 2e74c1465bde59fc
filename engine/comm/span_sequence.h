// The memory of several tensors on a GPU one after the other: what collectives send there, a piece at a time.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/comm/device_comm.h"
#include "engine/tensor.h"

namespace lethe::ops {

// Gaps between rows count as elements: they belong to the tensor alone, and nobody reads them. So does what
// lies behind its end up to 16 bytes, which no tensor shares (kAlignment); so every piece begins on such a
// boundary if the positions at which it is cut are multiples of 16 bytes.
class SpanSequence {
 public:
  struct Span {
    std::byte* data = nullptr;
    int64_t bytes = 0;
  };

  void add(const Buffer& tensor) {
    const int64_t bytes = (tensor.rows * tensor.pitch * size_of(tensor.dtype) + 15) / 16 * 16;
    if (bytes == 0) return;
    auto* const data = static_cast<std::byte*>(tensor.data);
    // Neighbours travel as one, what lies between them included.
    if (!spans_.empty()) {
      Span& last = spans_.back();
      const int64_t gap = data - (last.data + last.bytes);
      if (merged_ && gap >= 0 && gap < 256) {
        bytes_ += gap + bytes;
        last.bytes += gap + bytes;
        return;
      }
    }
    spans_.push_back({data, bytes});
    bytes_ += bytes;
  }
  // Only where all ranks have the same tensors at the same distances: the pieces must be the same on each.
  explicit SpanSequence(bool merged = false) : merged_(merged) {}

  int64_t bytes() const { return bytes_; }

  // Where [begin, begin + bytes) lies.
  std::vector<Span> cut(int64_t begin, int64_t bytes) const {
    std::vector<Span> found;
    for (const Span& s : spans_) {
      const int64_t from = std::max<int64_t>(0, begin), to = std::min(s.bytes, begin + bytes);
      if (from < to) found.push_back({s.data + from, to - from});
      begin -= s.bytes;
    }
    return found;
  }

 private:
  bool merged_;
  std::vector<Span> spans_;
  int64_t bytes_ = 0;
};

// Adds to `pieces` what of a sequence goes to or comes from a rank.
inline void add_pieces(std::vector<DeviceComm::Piece>& pieces, int rank,
                       const std::vector<SpanSequence::Span>& spans) {
  for (const SpanSequence::Span& s : spans) pieces.push_back({rank, s.data, s.bytes});
}

// This rank's part of a sum over the ranks, `mine`, becomes the sum: the others' copies of it come to
// `workspace`, which holds (world - 1) times its bytes, while outgoing[r] goes to rank r.
void sum_over_ranks(DeviceComm& comm, int rank, DType dtype, const std::vector<SpanSequence::Span>& mine,
                    std::vector<std::vector<SpanSequence::Span>> outgoing, void* workspace,
                    kernels::cuda::Stream stream);

}  // namespace lethe::ops
