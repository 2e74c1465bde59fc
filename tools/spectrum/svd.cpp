#include "tools/spectrum/svd.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

extern "C" void dgesdd_(const char* jobz, const int* m, const int* n, double* a, const int* lda, double* s,
                        double* u, const int* ldu, double* vt, const int* ldvt, double* work,
                        const int* lwork, int* iwork, int* info, size_t jobz_length);

namespace lethe {
namespace {

void check(int64_t rows, int64_t columns, const double* a) {
  constexpr int64_t limit = std::numeric_limits<int>::max();
  if (rows < 0 || columns < 0 || rows > limit || columns > limit) {
    throw ShapeError("singular values", fmt::format("a matrix of {} x {}", rows, columns));
  }
  for (int64_t i = 0; i < rows * columns; ++i) {
    if (!std::isfinite(a[i])) {
      throw RunError(fmt::format("singular values: element ({}, {}) of the {} x {} matrix is {}", i / columns,
                                 i % columns, rows, columns, a[i]));
    }
  }
}

// LAPACK reads the row-major A [rows, columns] as the column-major A^T. With A^T = U' S V'^T, A = V' S U'^T:
// its V'^T buffer, read row by row, is A's left vectors, and its U' buffer A's right vectors transposed.
Svd decompose(int64_t rows, int64_t columns, const double* a, bool vectors) {
  check(rows, columns, a);
  Svd result;
  if (rows == 0 || columns == 0) return result;
  const int m = static_cast<int>(columns), n = static_cast<int>(rows), k = std::min(m, n);
  std::vector<double> copy(a, a + rows * columns);
  result.values.resize(static_cast<size_t>(k));
  if (vectors) {
    result.left.resize(static_cast<size_t>(rows * k));
    result.right_transposed.resize(static_cast<size_t>(k * columns));
  }
  const char job = vectors ? 'S' : 'N';
  const int leading_vt = vectors ? k : 1;
  std::vector<int> integers(static_cast<size_t>(8) * static_cast<size_t>(k));
  int info = 0;
  const auto call = [&](double* work, int length) {
    dgesdd_(&job, &m, &n, copy.data(), &m, result.values.data(), result.right_transposed.data(), &m,
            result.left.data(), &leading_vt, work, &length, integers.data(), &info, 1);
    if (info != 0) throw LapackError("dgesdd", info);
  };
  double wanted = 0;
  call(&wanted, -1);  // asks how much work space it wants
  std::vector<double> work(static_cast<size_t>(wanted) + 1);
  call(work.data(), static_cast<int>(wanted));
  return result;
}

}  // namespace

std::vector<double> singular_values(int64_t rows, int64_t columns, const double* a) {
  return decompose(rows, columns, a, false).values;
}

Svd singular_value_decomposition(int64_t rows, int64_t columns, const double* a) {
  return decompose(rows, columns, a, true);
}

}  // namespace lethe
