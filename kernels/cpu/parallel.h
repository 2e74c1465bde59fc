// Work split over cores so that the result never depends on how many there are: the pieces are fixed by the
// problem alone, and each piece is computed by one thread in one order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/team.h"

namespace lethe::kernels::cpu {

// Calls body(begin, end), or body(begin, end, worker), for consecutive pieces of [0, count), each `grain`
// long but the last, on the threads of Team::current(). worker, below the team's size, tells apart what runs
// at the same time.
template <class Body>
void parallel_pieces(int64_t count, int64_t grain, const Body& body) {
  const auto piece_of = [&](int64_t piece, int worker) {
    const int64_t begin = piece * grain, end = std::min(count, begin + grain);
    if constexpr (std::is_invocable_v<Body, int64_t, int64_t, int>) {
      body(begin, end, worker);
    } else {
      body(begin, end);
    }
  };
  const int64_t pieces = (count + grain - 1) / grain;
  if (Team* const team = Team::current(); team && pieces > 1) {
    using Piece = decltype(piece_of);
    const auto task = [](const void* context, int64_t piece, int worker) {
      (*static_cast<const Piece*>(context))(piece, worker);
    };
    team->run(pieces, task, &piece_of);
  } else {
    for (int64_t piece = 0; piece < pieces; ++piece) piece_of(piece, 0);
  }
}

// Rows per piece so that a piece holds some 32k elements: large enough to hide the hand-over, small enough
// to balance.
inline int64_t rows_grain(int64_t width) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, width));
}

}  // namespace lethe::kernels::cpu
