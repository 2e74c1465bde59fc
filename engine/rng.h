// Random numbers by name and position instead of by order: the value depends on (seed, stream, position)
// alone, so neither threads, ranks, recomputation nor a resumed run can change it.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/philox.h"

namespace lethe {

// 64-bit FNV-1a of a name: turns a tensor's or a purpose's name into a stream number.
constexpr uint64_t stream_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3u;
  }
  return hash;
}

class Rng {
 public:
  // The sequence that belongs to `stream` (see stream_of) under `seed`.
  Rng(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  // 64 uniform bits at a position.
  uint64_t bits(uint64_t position) const {
    const PhiloxWords w = philox(seed_, position, stream_);
    return (uint64_t{w.word[1]} << 32) | w.word[0];
  }
  // Uniform in [0, 1), 53 bits.
  double uniform(uint64_t position) const { return static_cast<double>(bits(position) >> 11) * 0x1p-53; }
  // Standard normal (Box-Muller).
  double normal(uint64_t position) const;
  // Uniform in [0, bound), bound > 0, without modulo bias beyond 2^-64.
  uint64_t below(uint64_t position, uint64_t bound) const {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>(bits(position)) * bound) >> 64);
  }

 private:
  uint64_t seed_, stream_;
};

}  // namespace lethe
