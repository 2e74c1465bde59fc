#include "tools/eval/python_set.h"

#include <utility>

namespace lethe::eval {

size_t PythonSet::place_of(int64_t value) const {
  constexpr size_t kNeighbours = 9;
  const size_t mask = slots_.size() - 1, none = slots_.size();
  auto perturbed = static_cast<size_t>(value);
  size_t erased = none;
  for (size_t i = perturbed & mask;; i = (5 * i + 1 + perturbed) & mask) {
    const size_t last = i + kNeighbours <= mask ? i + kNeighbours : i;
    for (size_t j = i; j <= last; ++j) {
      if (slots_[j] == value) return j;
      if (slots_[j] == kEmpty) return erased == none ? j : erased;
      if (slots_[j] == kErased && erased == none) erased = j;
    }
    perturbed >>= 5;
  }
}

bool PythonSet::contains(int64_t value) const {
  return slots_[place_of(value)] == value;
}

void PythonSet::insert(int64_t value) {
  int64_t& slot = slots_[place_of(value)];
  if (slot == value) return;
  const bool was_empty = slot == kEmpty;
  slot = value;
  ++used_;
  if (was_empty && 5 * ++filled_ >= 3 * (slots_.size() - 1)) grow();
}

void PythonSet::erase(int64_t value) {
  int64_t& slot = slots_[place_of(value)];
  if (slot != value) return;
  slot = kErased;
  --used_;
}

void PythonSet::grow() {
  size_t size = 8;
  while (size <= (used_ > 50000 ? 2 : 4) * used_) size *= 2;
  const std::vector<int64_t> old = std::exchange(slots_, std::vector<int64_t>(size, kEmpty));
  for (const int64_t value : old) {
    if (value >= 0) slots_[place_of(value)] = value;
  }
  filled_ = used_;
}

std::vector<int64_t> PythonSet::values() const {
  std::vector<int64_t> found;
  for (const int64_t value : slots_) {
    if (value >= 0) found.push_back(value);
  }
  return found;
}

}  // namespace lethe::eval
