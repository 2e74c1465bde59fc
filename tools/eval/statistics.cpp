#include "tools/eval/statistics.h"

#include <cmath>
#include <limits>
#include <numeric>

namespace lethe::eval {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double mean_standard_error(const std::vector<double>& values) {
  if (values.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  const double middle = mean(values);
  double squares = 0;
  for (const double v : values) squares += (v - middle) * (v - middle);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / (n - 1)) / std::sqrt(n);
}

double pooled_standard_error(const std::vector<double>& errors, const std::vector<int64_t>& sizes) {
  double variance = 0, all = 0;
  for (size_t i = 0; i < errors.size(); ++i) {
    const auto n = static_cast<double>(sizes[i]);
    variance += (n - 1) * errors[i] * errors[i] * n;
    all += n;
  }
  return std::sqrt(variance / (all - static_cast<double>(sizes.size())) / all);
}

}  // namespace lethe::eval
