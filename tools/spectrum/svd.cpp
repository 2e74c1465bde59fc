#include "tools/spectrum/svd.h"

#include <cblas.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

extern "C" void dgesdd_(const char* jobz, const int* m, const int* n, double* a, const int* lda, double* s,
                        double* u, const int* ldu, double* vt, const int* ldvt, double* work,
                        const int* lwork, int* iwork, int* info, size_t jobz_length);
extern "C" void dgeqrf_(const int* m, const int* n, double* a, const int* lda, double* tau, double* work,
                        const int* lwork, int* info);
extern "C" void dorgqr_(const int* m, const int* n, const int* k, double* a, const int* lda,
                        const double* tau, double* work, const int* lwork, int* info);

namespace lethe {
void check_matrix(int64_t rows, int64_t columns, const double* a) {
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

namespace {

// LAPACK reads the row-major A [rows, columns] as the column-major A^T. With A^T = U' S V'^T, A = V' S U'^T:
// its V'^T buffer, read row by row, is A's left vectors, and its U' buffer A's right vectors transposed.
Svd decompose(int64_t rows, int64_t columns, const double* a, bool vectors) {
  check_matrix(rows, columns, a);
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

// [m, n] = op(a) op(b), all row-major.
std::vector<double> product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, int64_t m, int64_t n, int64_t k,
                            const double* a, const double* b) {
  const auto size = [](int64_t v) { return static_cast<blasint>(v); };
  std::vector<double> c(static_cast<size_t>(m * n));
  cblas_dgemm(CblasRowMajor, ta, tb, size(m), size(n), size(k), 1, a, size(ta == CblasTrans ? m : k), b,
              size(tb == CblasTrans ? k : n), 0, c.data(), size(n));
  return c;
}

// Makes the `count` rows of length `length`, count <= length, orthonormal: to LAPACK they are columns.
void make_orthonormal(std::vector<double>& rows, int64_t count, int64_t length) {
  const int m = static_cast<int>(length), n = static_cast<int>(count);
  std::vector<double> tau(static_cast<size_t>(n)), work(static_cast<size_t>(n) * 64);
  const int size = static_cast<int>(work.size());
  int info = 0;
  dgeqrf_(&m, &n, rows.data(), &m, tau.data(), work.data(), &size, &info);
  if (info != 0) throw LapackError("dgeqrf", info);
  dorgqr_(&m, &n, &n, rows.data(), &m, tau.data(), work.data(), &size, &info);
  if (info != 0) throw LapackError("dorgqr", info);
}

}  // namespace

std::vector<double> singular_values(int64_t rows, int64_t columns, const double* a) {
  return decompose(rows, columns, a, false).values;
}

Svd singular_value_decomposition(int64_t rows, int64_t columns, const double* a) {
  return decompose(rows, columns, a, true);
}

Svd truncated_svd(int64_t rows, int64_t columns, const double* a, int64_t rank, int64_t passes,
                  const Rng& draws) {
  check_matrix(rows, columns, a);
  const int64_t most = std::min(rows, columns), wanted = std::min(rank, most);
  const int64_t l = std::min(wanted + 10, most);
  if (wanted <= 0) return {};
  std::vector<double> right(static_cast<size_t>(l * columns)), left;
  for (size_t i = 0; i < right.size(); ++i) right[i] = draws.normal(i);
  for (int64_t pass = 0; pass <= passes; ++pass) {
    left = product(CblasNoTrans, CblasTrans, l, rows, columns, right.data(), a);
    make_orthonormal(left, l, rows);
    right = product(CblasNoTrans, CblasNoTrans, l, columns, rows, left.data(), a);
    if (pass < passes) make_orthonormal(right, l, columns);
  }
  // A is nearly Q Q^T A; `right` is Q^T A and `left` Q^T.
  const Svd small = decompose(l, columns, right.data(), true);
  const std::vector<double> turned =
      product(CblasTrans, CblasNoTrans, rows, l, l, left.data(), small.left.data());
  Svd found;
  found.values.assign(small.values.begin(), small.values.begin() + wanted);
  found.right_transposed.assign(small.right_transposed.begin(),
                                small.right_transposed.begin() + wanted * columns);
  for (int64_t r = 0; r < rows; ++r)
    found.left.insert(found.left.end(), turned.begin() + r * l, turned.begin() + r * l + wanted);
  return found;
}

}  // namespace lethe
