// Means over seeds and differences between methods, with their intervals.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/analysis/records.h"

namespace lethe::analysis {

// The factor that makes a 95% interval of a mean's standard error: Student's t with n - 1 degrees of freedom,
// as tabulated (beyond 30 by its expansion about the normal). NaN for n < 2.
double t_factor(int64_t n);

// A mean of one value a seed, with two intervals of 95%, each a half width. Seeds are scored on the same
// held-out text, so that averaging over them makes the held-out error no smaller.
struct Estimate {
  double value = unknown;
  int64_t seeds = 0;
  double over_seeds = unknown;  // by Student's t over seeds; unknown for fewer than two
  double held_out = unknown;    // 1.96 standard errors over held-out documents; unknown where not measured
  std::string basis = "held-out text";  // what `held_out` is over, where it is something else

  // The wider of the two: what is drawn, and what decides.
  double half_width() const;
  double low() const { return value - half_width(); }
  double high() const { return value + half_width(); }
  bool known() const;
  // "over 3 seeds", "over held-out text": where the half width comes from.
  std::string source() const;
};

// All values of an estimate times `unit`.
Estimate scaled(Estimate estimate, double unit);

struct Observation {
  int64_t seed = 0;
  double value = unknown, standard_error = unknown;  // the error over held-out documents
};

// Observations that are not finite are left out.
Estimate estimate_of(const std::vector<Observation>& seeds);

// a - b over the seeds that both have. Errors over held-out documents add in squares: an upper bound, because
// both were scored on the same documents.
Estimate difference(const std::vector<Observation>& a, const std::vector<Observation>& b);

enum class Verdict { holds, does_not_hold, not_decided };

// Whether a claim that the value is positive holds: by where its interval lies. Without an interval it is not
// decided.
Verdict verdict_of(const Estimate& estimate);
const char* words_of(Verdict verdict);

// Holds if all do; does not if one does not; otherwise not decided, as it is for none.
Verdict all_of(const std::vector<Verdict>& verdicts);

// The median and the 95% interval by order statistics, which supposes no distribution: the interval's ends
// are the k-th least and greatest value, k the largest with P(Binomial(n, 1/2) < k) <= 0.025. Unknown ends
// for fewer than six.
struct Median {
  double value = unknown, low = unknown, high = unknown;
  int64_t count = 0;
};
Median median_of(std::vector<double> values);

// Spearman's rank correlation, equal values at their mean rank. NaN for fewer than three or no variation.
double spearman(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace lethe::analysis
