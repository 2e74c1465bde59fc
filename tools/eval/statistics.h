// Means and their standard errors, as lm-evaluation-harness computes them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace lethe::eval {

double mean(const std::vector<double>& values);

// sqrt(sum (x - mean)^2 / (n - 1)) / sqrt(n); NaN for fewer than two.
double mean_standard_error(const std::vector<double>& values);

// Of the mean over all documents of several benchmarks, from the errors and sizes of each.
double pooled_standard_error(const std::vector<double>& errors, const std::vector<int64_t>& sizes);

// The sample standard deviation of `statistic` over `iterations` drawings of as many values as there are,
// with replacement. Drawn by the harness's generators: each thousand by one of its own, seeded 0, 1, ...;
// what is beyond a whole thousand (of 1000 and more) is left out. Several threads call `statistic`. NaN for
// fewer than two iterations.
double bootstrap_standard_error(const std::vector<double>& values,
                                const std::function<double(const std::vector<double>&)>& statistic,
                                int64_t iterations = 100000);

}  // namespace lethe::eval
