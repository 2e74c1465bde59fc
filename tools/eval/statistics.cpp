#include "tools/eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tools/eval/python_random.h"

namespace lethe::eval {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

namespace {

double sample_deviation(const std::vector<double>& values) {
  if (values.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  const double middle = mean(values);
  double squares = 0;
  for (const double v : values) squares += (v - middle) * (v - middle);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

}  // namespace

double mean_standard_error(const std::vector<double>& values) {
  return sample_deviation(values) / std::sqrt(static_cast<double>(values.size()));
}

double bootstrap_standard_error(const std::vector<double>& values,
                                const std::function<double(const std::vector<double>&)>& statistic,
                                int64_t iterations) {
  const int64_t chunk = std::min<int64_t>(1000, iterations), chunks = chunk > 0 ? iterations / chunk : 0;
  std::vector<double> found(static_cast<size_t>(chunks * chunk));
  const auto n = static_cast<double>(values.size());
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t c = 0; c < chunks; ++c) {
    PythonRandom random(static_cast<uint64_t>(c));
    std::vector<double> drawn(values.size());
    for (int64_t i = 0; i < chunk; ++i) {
      for (double& value : drawn) value = values[static_cast<size_t>(random.random() * n)];
      found[static_cast<size_t>(c * chunk + i)] = statistic(drawn);
    }
  }
  return sample_deviation(found);
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
