#include "tools/bench/bandwidth.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

namespace lethe {

double copy_bandwidth(int threads) {
  constexpr int64_t kPiece = 1 << 20, kPieces = 256;
  constexpr int kRepeats = 5;
  std::vector<char> from(kPieces * kPiece, 1), to(kPieces * kPiece);
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < kPieces; ++i) {
      std::memcpy(to.data() + i * kPiece, from.data() + i * kPiece, static_cast<size_t>(kPiece));
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * static_cast<double>(kPieces * kPiece) / taken.count());
  }
  return best;
}

}  // namespace lethe
