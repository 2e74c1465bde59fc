#include "engine/comm/span_sequence.h"

#include <numeric>

#include "kernels/sum_ranks.h"

namespace lethe::ops {

void sum_over_ranks(DeviceComm& comm, int rank, DType dtype, const std::vector<SpanSequence::Span>& mine,
                    std::vector<std::vector<SpanSequence::Span>> outgoing, void* workspace,
                    kernels::cuda::Stream stream) {
  const auto world = static_cast<int>(outgoing.size());
  const int64_t stride = std::accumulate(mine.begin(), mine.end(), int64_t{0},
                                         [](int64_t sum, const auto& s) { return sum + s.bytes; });
  std::vector<DeviceComm::Piece> sent, received;
  auto* copy = static_cast<std::byte*>(workspace);
  for (int r = 0; r < world; ++r) {
    if (r == rank) continue;
    add_pieces(sent, r, outgoing[static_cast<size_t>(r)]);
    // In the pieces in which the other cuts it: those of this rank.
    for (const SpanSequence::Span& s : mine) {
      received.push_back({r, copy, s.bytes});
      copy += s.bytes;
    }
  }
  comm.exchange(sent, received, stream);
  const auto sum = [&]<class T>() {
    const auto size = static_cast<int64_t>(sizeof(T));
    const auto* others = static_cast<const std::byte*>(workspace);
    for (const SpanSequence::Span& s : mine) {
      kernels::cuda::sum_ranks(reinterpret_cast<T*>(s.data), reinterpret_cast<const T*>(others),
                               stride / size, rank, world, s.bytes / size, stream);
      others += s.bytes;
    }
  };
  if (dtype == DType::i64) return sum.template operator()<int64_t>();
  dispatch_float(dtype, "a sum over ranks", [&]<class T>() { sum.template operator()<T>(); });
}

}  // namespace lethe::ops
