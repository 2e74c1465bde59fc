// What a spectrum says about a change of weights: how many directions it takes, and whether they are new.
#pragma once

#include <cstdint>
#include <vector>

namespace lethe {

struct Svd;

// The least k with sum_{i<=k} s_i^2 / sum_i s_i^2 >= fraction: the rank that explains that share of the
// variance ("LoRA Learns Less and Forgets Less", figure 6, with 0.9). `values` descending. 0 for no values or
// all zero. Throws RequestError for a fraction outside (0, 1].
int64_t rank_for_variance(const std::vector<double>& values, double fraction);

// ||A||_F^2 / ||A||_2^2 = sum s_i^2 / s_1^2: at least 1 and at most the rank; 0 for a zero matrix.
double stable_rank(const std::vector<double>& values);

// exp(-sum p_i ln p_i) with p_i = s_i / sum_i s_i, between 1 and the number of values; 0 for a zero matrix
// (Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007).
double effective_rank(const std::vector<double>& values);

// ||A||_F = sqrt(sum s_i^2).
double frobenius_norm(const std::vector<double>& values);

// Intruder dimensions of `tuned` [rows, columns] against `base` of the same shape, both row-major: how many
// of its first `count` left singular vectors y have max_i |cos(y, x_i)| < epsilon over all left singular
// vectors x_i of `base` (definition 3.1 of "LoRA vs Full Fine-tuning: An Illusion of Equivalence", arXiv
// 2410.21228; the absolute value because a singular vector's sign is arbitrary). Vectors of zero singular
// value are not counted: they are not determined. Throws as singular_value_decomposition does.
int64_t intruder_dimensions(int64_t rows, int64_t columns, const double* base, const double* tuned,
                            int64_t count = 10, double epsilon = 0.5);

// The same of decompositions that are already there; `rows` is how long a left vector is.
int64_t intruder_dimensions(int64_t rows, int64_t columns, const Svd& base, const Svd& tuned,
                            int64_t count = 10, double epsilon = 0.5);

}  // namespace lethe
