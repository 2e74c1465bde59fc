// Singular value decomposition of a dense matrix in double precision, by LAPACK's divide and conquer
// (dgesdd).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/rng.h"

namespace lethe {

// LAPACK gave up: `info` > 0 is its own count of what did not converge, < 0 the argument it refused.
struct LapackError : RunError {
  LapackError(const std::string& routine_, int info_)
      : RunError(routine_ + ": LAPACK returned info = " + std::to_string(info_)),
        routine(routine_),
        info(info_) {}
  std::string routine;
  int info = 0;
};

// A = U diag(values) V^T with k = min(rows, columns); all row-major.
struct Svd {
  std::vector<double> values;            // [k], descending
  std::vector<double> left;              // [rows, k]: columns are the left singular vectors
  std::vector<double> right_transposed;  // [k, columns]: rows are the right singular vectors
};

// Throws ShapeError for a negative size or one beyond LAPACK's integers, RunError for an element that is not
// finite (named by its row and column).
void check_matrix(int64_t rows, int64_t columns, const double* a);

// The singular values of the row-major a [rows, columns], descending; empty when a side is 0.
// Throws as check_matrix does, and LapackError when dgesdd does not converge.
std::vector<double> singular_values(int64_t rows, int64_t columns, const double* a);

// The same with the singular vectors (the thin ones).
Svd singular_value_decomposition(int64_t rows, int64_t columns, const double* a);

// The `rank` largest singular values with their vectors, found in a random subspace of rank + 10 dimensions
// that `passes` products with A A^T turn towards them (Halko, Martinsson, Tropp 2011, algorithms 4.4
// and 5.1). Never an overestimate; what a value is missed by shrinks with (next value / value)^(4 passes +
// 2). Throws as the whole decomposition does.
Svd truncated_svd(int64_t rows, int64_t columns, const double* a, int64_t rank, int64_t passes,
                  const Rng& draws);

}  // namespace lethe
