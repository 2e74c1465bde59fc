// A shuffle that can be asked for any of its places without making the others.
#pragma once

#include <bit>
#include <cstdint>

#include "engine/rng.h"

namespace lethe {

// A permutation of [0, size), drawn by (seed, epoch): a balanced Feistel network over the next even number of
// bits with Philox as its round function, walked along its cycle until it lands inside (Black and Rogaway,
// "Ciphers with arbitrary finite domains", CT-RSA 2002). At most 4 walks on average; no memory.
class KeyedPermutation {
 public:
  KeyedPermutation(uint64_t size, uint64_t seed, uint64_t epoch) : size_(size), rng_(seed, epoch) {
    const int bits = size <= 1 ? 0 : static_cast<int>(std::bit_width(size - 1));
    half_ = (bits + 1) / 2;
    mask_ = (uint64_t{1} << half_) - 1;
  }

  uint64_t size() const { return size_; }

  // Where `index`, below size(), goes.
  uint64_t operator()(uint64_t index) const {
    if (size_ <= 1) return index;
    do {
      index = encrypt(index);
    } while (index >= size_);
    return index;
  }

 private:
  static constexpr uint64_t rounds = 8;

  uint64_t encrypt(uint64_t value) const {
    uint64_t left = value >> half_, right = value & mask_;
    for (uint64_t round = 0; round < rounds; ++round) {
      // The half has 32 bits at most, so the round number has room above it.
      const uint64_t next = left ^ (rng_.bits(right | (round << 32)) & mask_);
      left = right;
      right = next;
    }
    return (left << half_) | right;
  }

  uint64_t size_;
  Rng rng_;
  int half_ = 0;
  uint64_t mask_ = 0;
};

}  // namespace lethe
