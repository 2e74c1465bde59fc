#include "tools/bench/bandwidth.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/cpu/parallel.h"

namespace lethe {

double copy_bandwidth(int threads) {
  constexpr int64_t kPiece = 1 << 20, kPieces = 256;
  constexpr int kRepeats = 5;
  std::vector<char> from(kPieces * kPiece, 1), to(kPieces * kPiece);
  kernels::cpu::Team team(threads);
  const kernels::cpu::Team::Use use(team);
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    kernels::cpu::parallel_pieces(kPieces * kPiece, kPiece, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin, static_cast<size_t>(end - begin));
    });
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * static_cast<double>(kPieces * kPiece) / taken.count());
  }
  return best;
}

}  // namespace lethe
