#include "tools/analysis/estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace lethe::analysis {
namespace {

constexpr double kNormal = 1.96;  // of a 95% interval

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Ranks from 1, equal values at the mean of theirs.
std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<double> ranks;
  for (const double value : values) {
    const auto below = std::count_if(values.begin(), values.end(), [&](double v) { return v < value; });
    const auto equal = std::count(values.begin(), values.end(), value);
    ranks.push_back(static_cast<double>(below) + (static_cast<double>(equal) + 1) / 2);
  }
  return ranks;
}

}  // namespace

double t_factor(int64_t n) {
  constexpr std::array table{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                             2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                             2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  if (n < 2) return unknown;
  const auto freedom = static_cast<size_t>(n - 1);
  if (freedom <= table.size()) return table[freedom - 1];
  return kNormal + (kNormal * kNormal * kNormal + kNormal) / (4 * static_cast<double>(freedom));
}

double Estimate::half_width() const {
  if (std::isnan(over_seeds)) return held_out;
  return std::isnan(held_out) ? over_seeds : std::max(over_seeds, held_out);
}

bool Estimate::known() const {
  return std::isfinite(value);
}

std::string Estimate::source() const {
  if (std::isnan(half_width())) return "no interval";
  if (half_width() == over_seeds) return fmt::format("over {} seeds", seeds);
  return "over " + basis;
}

Estimate scaled(Estimate e, double unit) {
  e.value *= unit;
  e.over_seeds *= std::abs(unit);
  e.held_out *= std::abs(unit);
  return e;
}

Estimate estimate_of(const std::vector<Observation>& seeds) {
  std::vector<double> values, errors;
  for (const Observation& one : seeds) {
    if (!std::isfinite(one.value)) continue;
    values.push_back(one.value);
    if (std::isfinite(one.standard_error)) errors.push_back(one.standard_error);
  }
  Estimate found{.seeds = std::ssize(values)};
  if (values.empty()) return found;
  found.value = mean(values);
  if (!errors.empty()) found.held_out = kNormal * mean(errors);
  if (values.size() < 2) return found;
  double squares = 0;
  for (const double value : values) squares += (value - found.value) * (value - found.value);
  const auto n = static_cast<double>(values.size());
  found.over_seeds = t_factor(found.seeds) * std::sqrt(squares / (n - 1) / n);
  return found;
}

Estimate difference(const std::vector<Observation>& a, const std::vector<Observation>& b) {
  std::vector<Observation> differences;
  for (const Observation& one : a) {
    const auto other =
        std::find_if(b.begin(), b.end(), [&](const Observation& o) { return o.seed == one.seed; });
    if (other == b.end()) continue;
    differences.push_back(
        {one.seed, one.value - other->value, std::hypot(one.standard_error, other->standard_error)});
  }
  return estimate_of(differences);
}

Verdict verdict_of(const Estimate& estimate) {
  if (!estimate.known() || std::isnan(estimate.half_width())) return Verdict::not_decided;
  if (estimate.low() > 0) return Verdict::holds;
  return estimate.high() < 0 ? Verdict::does_not_hold : Verdict::not_decided;
}

const char* words_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::holds:
      return "holds";
    case Verdict::does_not_hold:
      return "does not hold";
    case Verdict::not_decided:
      return "not decided";
  }
  return "";
}

Verdict all_of(const std::vector<Verdict>& verdicts) {
  const auto count = [&](Verdict v) { return std::count(verdicts.begin(), verdicts.end(), v); };
  if (count(Verdict::does_not_hold) > 0) return Verdict::does_not_hold;
  return verdicts.empty() || count(Verdict::not_decided) > 0 ? Verdict::not_decided : Verdict::holds;
}

Median median_of(std::vector<double> values) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  Median found{.count = std::ssize(values)};
  if (values.empty()) return found;
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  found.value = n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  // Binomial probabilities by their logarithms: (1/2)^n vanishes for n beyond a thousand.
  double below = 0;
  size_t k = 0;
  for (; k < n / 2; ++k) {
    const auto i = static_cast<double>(k), all = static_cast<double>(n);
    below +=
        std::exp(std::lgamma(all + 1) - std::lgamma(i + 1) - std::lgamma(all - i + 1) - all * std::log(2.0));
    if (below > 0.025) break;
  }
  if (k > 0) found.low = values[k - 1], found.high = values[n - k];
  return found;
}

double spearman(const std::vector<double>& x, const std::vector<double>& y) {
  if (x.size() < 3 || x.size() != y.size()) return unknown;
  const std::vector<double> a = ranks_of(x), b = ranks_of(y);
  const double mean_a = mean(a), mean_b = mean(b);
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : unknown;
}

}  // namespace lethe::analysis
