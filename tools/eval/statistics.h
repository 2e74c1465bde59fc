// Means and their standard errors, as lm-evaluation-harness computes them.
#pragma once

#include <cstdint>
#include <vector>

namespace lethe::eval {

double mean(const std::vector<double>& values);

// sqrt(sum (x - mean)^2 / (n - 1)) / sqrt(n); NaN for fewer than two.
double mean_standard_error(const std::vector<double>& values);

// Of the mean over all documents of several benchmarks, from the errors and sizes of each.
double pooled_standard_error(const std::vector<double>& errors, const std::vector<int64_t>& sizes);

}  // namespace lethe::eval
