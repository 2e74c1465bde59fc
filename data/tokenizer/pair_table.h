// From a pair of ids to its merge: a hash table with open addressing, because this is where encoding spends
// its time.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace lethe {

class PairTable {
 public:
  struct Entry {
    uint64_t pair = empty;
    uint32_t rank = 0;
    int32_t result = -1;
  };

  explicit PairTable(size_t pairs) : entries_(std::bit_ceil(2 * pairs + 2)), mask_(entries_.size() - 1) {}

  // A pair that is there already gets the new rank, as in the reference.
  void put(int32_t left, int32_t right, uint32_t rank, int32_t result) {
    Entry& entry = entries_[slot(key(left, right))];
    entry = {key(left, right), rank, result};
  }
  // nullptr: the pair does not merge.
  const Entry* find(int32_t left, int32_t right) const {
    const Entry& entry = entries_[slot(key(left, right))];
    return entry.pair == empty ? nullptr : &entry;
  }

 private:
  static constexpr uint64_t empty = ~uint64_t{0};
  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  size_t slot(uint64_t pair) const {
    uint64_t hash = pair * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
    size_t at = hash & mask_;
    while (entries_[at].pair != empty && entries_[at].pair != pair) at = (at + 1) & mask_;
    return at;
  }

  std::vector<Entry> entries_;
  size_t mask_;
};

}  // namespace lethe
