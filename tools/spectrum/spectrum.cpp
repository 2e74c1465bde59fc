#include "tools/spectrum/spectrum.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.h"
#include "tools/spectrum/svd.h"

namespace lethe {
namespace {

// Relative to the largest, so that squares of tiny or huge values neither vanish nor overflow.
double relative_square_sum(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += (value / values[0]) * (value / values[0]);
  return sum;
}

bool is_zero(const std::vector<double>& values) {
  return values.empty() || values[0] == 0;
}

double largest_cosine(const Svd& tuned, int64_t vector, const Svd& base, int64_t rows) {
  const auto tuned_width = static_cast<int64_t>(tuned.values.size());
  const auto base_width = static_cast<int64_t>(base.values.size());
  std::vector<double> cosines(static_cast<size_t>(base_width), 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    const double y = tuned.left[static_cast<size_t>(row * tuned_width + vector)];
    const double* x = base.left.data() + row * base_width;
    for (int64_t i = 0; i < base_width; ++i) cosines[static_cast<size_t>(i)] += y * x[i];
  }
  double largest = 0;
  for (const double cosine : cosines) largest = std::max(largest, std::abs(cosine));
  return largest;
}

}  // namespace

int64_t rank_for_variance(const std::vector<double>& values, double fraction) {
  if (!(fraction > 0 && fraction <= 1)) {
    throw RequestError(fmt::format("rank_for_variance: the fraction {} is not in (0, 1]", fraction));
  }
  if (is_zero(values)) return 0;
  const double total = relative_square_sum(values);
  double sum = 0;
  for (size_t k = 0; k < values.size(); ++k) {
    sum += (values[k] / values[0]) * (values[k] / values[0]);
    if (sum >= fraction * total) return static_cast<int64_t>(k) + 1;
  }
  return static_cast<int64_t>(values.size());
}

double stable_rank(const std::vector<double>& values) {
  return is_zero(values) ? 0 : relative_square_sum(values);
}

double effective_rank(const std::vector<double>& values) {
  if (is_zero(values)) return 0;
  double sum = 0, entropy = 0;
  for (const double value : values) sum += value / values[0];
  for (const double value : values) {
    const double share = value / values[0] / sum;
    if (share > 0) entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

double frobenius_norm(const std::vector<double>& values) {
  return is_zero(values) ? 0 : values[0] * std::sqrt(relative_square_sum(values));
}

int64_t intruder_dimensions(int64_t rows, int64_t columns, const double* base, const double* tuned,
                            int64_t count, double epsilon) {
  return intruder_dimensions(rows, columns, singular_value_decomposition(rows, columns, base),
                             singular_value_decomposition(rows, columns, tuned), count, epsilon);
}

int64_t intruder_dimensions(int64_t rows, int64_t columns, const Svd& before, const Svd& after, int64_t count,
                            double epsilon) {
  if (is_zero(after.values)) return 0;
  const double noise =
      after.values[0] * static_cast<double>(std::max(rows, columns)) * std::numeric_limits<double>::epsilon();
  const int64_t considered = std::min(count, static_cast<int64_t>(after.values.size()));
  int64_t intruders = 0;
  for (int64_t i = 0; i < considered && after.values[static_cast<size_t>(i)] > noise; ++i) {
    if (largest_cosine(after, i, before, rows) < epsilon) ++intruders;
  }
  return intruders;
}

}  // namespace lethe
