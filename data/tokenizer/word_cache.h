// The ids of words met lately: text repeats its words, and a word's merges need not be looked for again.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace lethe {

// One place for each hash: a word takes the place of another. Not for several threads.
class WordCache {
 public:
  // Starts anew unless it already belongs to `owner`, a number from next_owner().
  void belong_to(uint64_t owner) {
    if (owner == owner_) return;
    entries_.assign(places, {});
    owner_ = owner;
  }
  static uint64_t next_owner();

  // The word's ids are appended and true returned, or neither.
  bool find(std::string_view word, std::vector<int32_t>& ids) const {
    if (word.size() > longest_word) return false;
    const Entry& entry = entries_[place(word)];
    if (entry.bytes != word.size() || std::memcmp(entry.word, word.data(), word.size()) != 0) return false;
    ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
    return true;
  }
  // `word` must not be empty.
  void keep(std::string_view word, const int32_t* ids, size_t count) {
    if (word.size() > longest_word || count > most_ids) return;
    Entry& entry = entries_[place(word)];
    entry.bytes = static_cast<uint8_t>(word.size());
    entry.count = static_cast<uint8_t>(count);
    std::memcpy(entry.word, word.data(), word.size());
    std::memcpy(entry.ids, ids, count * sizeof *ids);
  }

 private:
  // A cache line an entry, 2 MiB in all.
  static constexpr size_t places = size_t{1} << 15, longest_word = 30, most_ids = 8;
  struct alignas(64) Entry {
    uint8_t bytes = 0, count = 0;  // bytes 0: nothing here, for no word is empty
    char word[longest_word];
    int32_t ids[most_ids];
  };
  static_assert(sizeof(Entry) == 64);

  static size_t place(std::string_view word) {
    uint64_t hash = word.size();
    size_t i = 0;
    for (; i + 8 <= word.size(); i += 8) {
      uint64_t part = 0;
      std::memcpy(&part, word.data() + i, 8);
      hash = (hash ^ part) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 32;
    }
    uint64_t part = 0;
    std::memcpy(&part, word.data() + i, word.size() - i);
    hash = (hash ^ part) * 0x9e3779b97f4a7c15u;
    return static_cast<size_t>(hash >> 40) % places;
  }

  std::vector<Entry> entries_;
  uint64_t owner_ = 0;
};

}  // namespace lethe
