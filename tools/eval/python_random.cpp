#include "tools/eval/python_random.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <unordered_set>

namespace lethe::eval {
namespace {

// What CPython's seeding (init_by_array, after Matsumoto and Nishimura 2002) leaves as the first state, in
// the shape of a seed sequence.
struct PythonSeed {
  using result_type = uint32_t;
  std::vector<uint32_t> key;

  template <class Iterator>
  void generate(Iterator begin, Iterator end) const {
    const size_t n = static_cast<size_t>(end - begin);
    std::vector<uint32_t> state(n);
    const auto before = [&](size_t i) { return state[i - 1] ^ (state[i - 1] >> 30); };
    state[0] = 19650218;
    for (size_t i = 1; i < n; ++i) state[i] = 1812433253u * before(i) + static_cast<uint32_t>(i);
    size_t i = 1, j = 0;
    const auto advance = [&] {
      if (++i < n) return;
      state[0] = state[n - 1];
      i = 1;
    };
    for (size_t k = std::max(n, key.size()); k > 0; --k) {
      state[i] = (state[i] ^ (before(i) * 1664525u)) + key[j] + static_cast<uint32_t>(j);
      j = (j + 1) % key.size();
      advance();
    }
    for (size_t k = n - 1; k > 0; --k) {
      state[i] = (state[i] ^ (before(i) * 1566083941u)) - static_cast<uint32_t>(i);
      advance();
    }
    state[0] = 0x80000000u;
    std::copy(state.begin(), state.end(), begin);
  }
};

std::mt19937 engine_of(uint64_t seed) {
  PythonSeed sequence{{static_cast<uint32_t>(seed)}};
  if (seed >> 32 != 0) sequence.key.push_back(static_cast<uint32_t>(seed >> 32));
  return std::mt19937(sequence);
}

}  // namespace

PythonRandom::PythonRandom(uint64_t seed) : engine_(engine_of(seed)) {}

double PythonRandom::random() {
  const uint32_t high = word() >> 5, low = word() >> 6;
  return (static_cast<double>(high) * 67108864.0 + static_cast<double>(low)) / 9007199254740992.0;
}

int64_t PythonRandom::below(int64_t bound) {
  const auto bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(bound)));
  int64_t drawn = bound;
  while (drawn >= bound) drawn = word() >> (32 - bits);
  return drawn;
}

std::vector<int64_t> PythonRandom::sample(int64_t n, int64_t k) {
  std::vector<int64_t> drawn(static_cast<size_t>(k));
  int64_t set_size = 21;
  if (k > 5) {
    int64_t power = 1;
    while (power < 3 * k) power *= 4;
    set_size += power;
  }
  if (n <= set_size) {
    std::vector<int64_t> pool(static_cast<size_t>(n));
    std::iota(pool.begin(), pool.end(), 0);
    for (int64_t i = 0; i < k; ++i) {
      const auto j = static_cast<size_t>(below(n - i));
      drawn[static_cast<size_t>(i)] = pool[j];
      pool[j] = pool[static_cast<size_t>(n - i - 1)];
    }
    return drawn;
  }
  std::unordered_set<int64_t> taken;
  for (int64_t& value : drawn) {
    do value = below(n);
    while (!taken.insert(value).second);
  }
  return drawn;
}

}  // namespace lethe::eval
