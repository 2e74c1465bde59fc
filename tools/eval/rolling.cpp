#include "tools/eval/rolling.h"

#include <algorithm>

namespace lethe::eval {

std::vector<ScoreRequest> rolling_windows(std::span<const int32_t> tokens, int32_t prefix,
                                          int64_t max_length) {
  std::vector<ScoreRequest> windows;
  const auto all = static_cast<int64_t>(tokens.size());
  const auto cut = [&](int64_t begin, int64_t end) {
    const auto part = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    return std::vector<int32_t>(part.begin(), part.end());
  };
  for (int64_t begin = 0; begin < all;) {
    const int64_t end = std::min(all, begin + max_length), first = end - max_length - 1;
    ScoreRequest window{.targets = cut(begin, end)};
    window.input = cut(std::max<int64_t>(0, first), end - 1);
    if (begin == 0) window.input.insert(window.input.begin(), prefix);
    windows.push_back(std::move(window));
    begin = end;
  }
  return windows;
}

}  // namespace lethe::eval
