// CPython's random.Random, bit for bit: the harnesses draw their examples with it.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace lethe::eval {

class PythonRandom {
 public:
  // random.Random(seed) for a whole number.
  explicit PythonRandom(uint64_t seed);

  uint32_t word() { return static_cast<uint32_t>(engine_()); }
  // In [0, 1), 53 bits.
  double random();
  // _randbelow: uniform in [0, bound), bound in [1, 2^32).
  int64_t below(int64_t bound);
  // sample(range(n), k), in the order drawn; 0 <= k <= n < 2^32.
  std::vector<int64_t> sample(int64_t n, int64_t k);

 private:
  std::mt19937 engine_;
};

}  // namespace lethe::eval
