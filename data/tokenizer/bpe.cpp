#include "data/tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "data/tokenizer/utf8.h"

namespace lethe {
namespace {

// Above it the heap wins over looking through all pairs.
constexpr size_t few_symbols = 48;
constexpr uint32_t no_rank = ~uint32_t{0};

}  // namespace

Bpe::Bpe(std::unordered_map<std::string, int32_t> vocabulary, const std::vector<Merge>& merges,
         BpeOptions options)
    : vocabulary_(std::move(vocabulary)), pairs_(merges.size()), options_(options) {
  for (size_t i = 0; i < merges.size(); ++i) {
    pairs_.put(merges[i].left, merges[i].right, static_cast<uint32_t>(i), merges[i].result);
  }
  for (unsigned b = 0; b < 256; ++b) {
    byte_symbols_[b] = find(std::string(1, static_cast<char>(b)));
    fallback_[b] = options_.byte_fallback ? find(fmt::format("<0x{:02X}>", b)) : -1;
  }
}

int32_t Bpe::find(const std::string& piece) const {
  const auto found = vocabulary_.find(piece);
  return found == vocabulary_.end() ? -1 : found->second;
}

size_t Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (options_.ignore_merges) {
    if (const int32_t id = find(std::string(word)); id >= 0) {
      ids.push_back(id);
      return 0;
    }
  }
  thread_local std::vector<int32_t> symbols;
  symbols.clear();
  const size_t dropped = begin_symbols(word, symbols);
  symbols.size() <= few_symbols ? merge_few(symbols) : merge_many(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
  return dropped;
}

size_t Bpe::begin_symbols(std::string_view word, std::vector<int32_t>& symbols) const {
  size_t dropped = 0;
  bool unknown = false;  // one is waiting, perhaps for more
  const auto flush = [&] {
    if (unknown) symbols.push_back(options_.unk_id);
    unknown = false;
  };
  std::string character;
  for (size_t i = 0; i < word.size();) {
    const size_t bytes = options_.bytes ? 1 : code_point_at(word, i).bytes;
    int32_t id = -1;
    if (bytes == 1) {
      id = byte_symbols_[static_cast<unsigned char>(word[i])];
    } else {
      character.assign(word, i, bytes);
      id = find(character);
    }
    const std::string_view these = word.substr(i, bytes);
    i += bytes;
    if (id >= 0) {
      flush();
      symbols.push_back(id);
      continue;
    }
    const auto fallback = [this](char c) { return fallback_[static_cast<unsigned char>(c)]; };
    if (options_.byte_fallback &&
        std::all_of(these.begin(), these.end(), [&](char c) { return fallback(c) >= 0; })) {
      for (const char c : these) symbols.push_back(fallback(c));
      continue;
    }
    if (options_.unk_id < 0) {
      dropped += bytes;
      continue;
    }
    if (!options_.fuse_unk) flush();
    unknown = true;
  }
  flush();
  return dropped;
}

void Bpe::merge_few(std::vector<int32_t>& symbols) const {
  uint32_t ranks[few_symbols];
  int32_t results[few_symbols];
  size_t count = symbols.size();
  const auto look_up = [&](size_t i) {
    const PairTable::Entry* merge = pairs_.find(symbols[i], symbols[i + 1]);
    ranks[i] = merge == nullptr ? no_rank : merge->rank;
    results[i] = merge == nullptr ? -1 : merge->result;
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    const size_t best = static_cast<size_t>(std::min_element(ranks, ranks + count - 1) - ranks);
    if (ranks[best] == no_rank) break;
    symbols[best] = results[best];
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      ranks[i] = ranks[i + 1];
      results[i] = results[i + 1];
    }
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  symbols.resize(count);
}

void Bpe::merge_many(std::vector<int32_t>& symbols) const {
  struct Candidate {
    uint32_t rank;
    int32_t at, result;
    // The queue's top is its largest: the lowest rank, then the leftmost.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto count = static_cast<int32_t>(symbols.size());
  std::vector<int32_t> next(symbols.size()), previous(symbols.size());
  std::vector<Candidate> found;
  const auto candidate = [&](int32_t left, int32_t right, auto&& take) {
    const PairTable::Entry* merge = pairs_.find(symbols[left], symbols[right]);
    if (merge != nullptr) take(Candidate{merge->rank, left, merge->result});
  };
  for (int32_t i = 0; i < count; ++i) {
    previous[i] = i - 1;
    next[i] = i + 1 < count ? i + 1 : -1;
    if (i + 1 < count) candidate(i, i + 1, [&](Candidate c) { found.push_back(c); });
  }
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(found));
  constexpr int32_t gone = -1;
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    const int32_t left = top.at, right = symbols[left] == gone ? -1 : next[left];
    if (right < 0) continue;
    // Stale when a neighbour was merged since: what the two give now is longer.
    const PairTable::Entry* now = pairs_.find(symbols[left], symbols[right]);
    if (now == nullptr || now->result != top.result) continue;
    symbols[left] = top.result;
    symbols[right] = gone;
    next[left] = next[right];
    if (next[left] >= 0) previous[next[left]] = left;
    const auto push = [&](Candidate c) { queue.push(c); };
    if (previous[left] >= 0) candidate(previous[left], left, push);
    if (next[left] >= 0) candidate(left, next[left], push);
  }
  std::erase(symbols, gone);
}

}  // namespace lethe
