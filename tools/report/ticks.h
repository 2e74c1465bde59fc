// Where an axis has its marks and what stands at them.
#pragma once

#include <string>
#include <vector>

namespace lethe::report {

struct Range {
  double low = 0, high = 1;
};

struct Tick {
  double value = 0;
  std::string label;  // empty: a grid line only
};

// The smallest range that holds every finite value; {0, 1} when there is none, and a range of one value is
// widened around it.
Range range_of(const std::vector<double>& values);

// The range with `fraction` of its length added at both ends.
Range padded(Range range, double fraction);
// The same for a logarithmic axis. Needs 0 < low.
Range padded_log(Range range, double fraction);

// At most max_count values 1, 2 or 5 times a power of ten apart, inside the range; labels with the decimals
// the distance needs. The range's ends must be finite.
std::vector<Tick> linear_ticks(Range range, int max_count);

// Powers of ten, with their 2 and 5 (or 3) multiples when those still fit max_count. Needs 0 < low.
std::vector<Tick> log_ticks(Range range, int max_count);

}  // namespace lethe::report
