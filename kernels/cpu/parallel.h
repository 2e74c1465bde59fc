// Work split over cores so that the result never depends on how many there are: the pieces are fixed by the
// problem alone, and each piece is computed by one thread in one order.
#pragma once

#include <algorithm>
#include <cstdint>

namespace lethe::kernels::cpu {

// Calls body(begin, end) for consecutive pieces of [0, count), each `grain` long but the last.
template <class Body>
void parallel_pieces(int64_t count, int64_t grain, const Body& body) {
  const int64_t pieces = (count + grain - 1) / grain;
#pragma omp parallel for schedule(dynamic, 1) if (pieces > 1)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    body(piece * grain, std::min(count, (piece + 1) * grain));
  }
}

// Rows per piece so that a piece holds some 32k elements: large enough to hide the hand-over, small enough
// to balance.
inline int64_t rows_grain(int64_t width) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, width));
}

}  // namespace lethe::kernels::cpu
