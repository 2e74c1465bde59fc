#include "data/row_packer.h"

#include <iterator>

namespace lethe {

void RowPacker::add(int64_t length) {
  waiting_.emplace(count_, length);
  waiting_length_ += length;
  of_length_[length].insert(count_);
  ++count_;
  if (std::ssize(waiting_) == window_) make_row();
}

void RowPacker::finish() {
  while (!waiting_.empty()) make_row();
}

int64_t RowPacker::take(int64_t piece, std::vector<int64_t>& row) {
  const auto found = waiting_.find(piece);
  const int64_t length = found->second;
  waiting_.erase(found);
  waiting_length_ -= length;
  const auto alike = of_length_.find(length);
  alike->second.erase(piece);
  if (alike->second.empty()) of_length_.erase(alike);
  row.push_back(piece);
  return length;
}

void RowPacker::make_row() {
  std::vector<int64_t> row;
  int64_t room = capacity_;
  while (!waiting_.empty()) {
    const int64_t count = std::ssize(waiting_), longest = of_length_.rbegin()->first;
    if (row.empty() || room * count >= longest * count + waiting_length_) {
      room -= take(waiting_.begin()->first, row);
      continue;
    }
    const auto [one, other] = closing(room);
    if (one == 0) break;
    for (const int64_t length : {one, other}) {
      if (length > 0) room -= take(*of_length_.at(length).begin(), row);
    }
  }
  emit_(row);
}

std::pair<int64_t, int64_t> RowPacker::closing(int64_t room) const {
  std::pair<int64_t, int64_t> best{0, 0};
  auto high = of_length_.upper_bound(room);
  if (high == of_length_.begin()) return best;
  --high;
  best.first = high->first;
  if ((room - best.first) * 128 < capacity_) return best;
  // Two ends walk towards each other: the sum of a pair is compared with the room.
  for (auto low = of_length_.begin(); low->first <= high->first;) {
    const int64_t sum = low->first + high->first;
    const bool two = low != high || low->second.size() > 1;
    if (sum > room || !two) {
      if (high == of_length_.begin()) break;
      --high;
      continue;
    }
    if (sum > best.first + best.second) best = {high->first, low->first};
    ++low;
    if (low == of_length_.end()) break;
  }
  return best;
}

}  // namespace lethe
