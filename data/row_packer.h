// Which pieces share a row: few places stay empty, with a bounded number of pieces in hand.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace lethe {

// A row begins with the piece that waits longest, and takes the next ones in their order for as long as there
// is more room than the longest piece and one of mean length need. What is left then is closed by the one
// piece of all in hand that fits best, or where that leaves a 128th of the row or more by the best two: one
// alone spares the small pieces, without which later rows could not be closed. Sorting alone
// (first-fit-decreasing, Johnson 1973) leaves more, since it meets small pieces when they are all that is
// left.
class RowPacker {
 public:
  // `emit` gets the pieces of a row, each by the number of its add(), from 0.
  RowPacker(int64_t capacity, int64_t window, std::function<void(const std::vector<int64_t>&)> emit)
      : capacity_(capacity), window_(window), emit_(std::move(emit)) {}

  // 1 <= length <= capacity.
  void add(int64_t length);
  // Packs all that is left.
  void finish();

 private:
  void make_row();
  int64_t take(int64_t piece, std::vector<int64_t>& row);
  // The lengths of the one or two pieces that fill `room` best; 0 for none.
  std::pair<int64_t, int64_t> closing(int64_t room) const;

  int64_t capacity_, window_, count_ = 0, waiting_length_ = 0;
  std::function<void(const std::vector<int64_t>&)> emit_;
  std::map<int64_t, int64_t> waiting_;              // number -> length
  std::map<int64_t, std::set<int64_t>> of_length_;  // length -> numbers
};

}  // namespace lethe
