// OpenBLAS, one tile at a time, for the kernels that cut their work into tiles themselves.
#pragma once

#include <cblas.h>

#include <cstdint>
#include <type_traits>

#include "kernels/rows.h"

namespace lethe::kernels::cpu {

enum class Transpose : bool { no, yes };

// C[m, n] = alpha * op(A) * op(B) + beta * C, all row-major; op(A) is [m, k], op(B) is [k, n]. Expects
// OpenBLAS to be set to one thread: the callers' threads are the parallelism.
inline void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, double alpha, const float* a,
                 int64_t lda, const float* b, int64_t ldb, double beta, float* c, int64_t ldc) {
  const auto op = [](Transpose t) { return t == Transpose::yes ? CblasTrans : CblasNoTrans; };
  cblas_sgemm(CblasRowMajor, op(ta), op(tb), static_cast<blasint>(m), static_cast<blasint>(n),
              static_cast<blasint>(k), static_cast<float>(alpha), a, static_cast<blasint>(lda), b,
              static_cast<blasint>(ldb), static_cast<float>(beta), c, static_cast<blasint>(ldc));
}
inline void gemm(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, double alpha, const double* a,
                 int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
  const auto op = [](Transpose t) { return t == Transpose::yes ? CblasTrans : CblasNoTrans; };
  cblas_dgemm(CblasRowMajor, op(ta), op(tb), static_cast<blasint>(m), static_cast<blasint>(n),
              static_cast<blasint>(k), alpha, a, static_cast<blasint>(lda), b, static_cast<blasint>(ldb),
              beta, c, static_cast<blasint>(ldc));
}

// Whether values must be widened before OpenBLAS can read them.
template <class T>
inline constexpr bool is_narrow = !std::is_same_v<T, compute_t<T>>;

// Part of x, `rows` by `width` from (row, column) on, in the compute type: in place where x has that type
// already, else a dense copy in `scratch` (rows * width elements; may be null where nothing is copied).
template <class T>
Rows<const compute_t<T>> widened(Rows<const T> x, int64_t row, int64_t column, int64_t rows, int64_t width,
                                 compute_t<T>* scratch) {
  if constexpr (is_narrow<T>) {
    for (int64_t r = 0; r < rows; ++r) {
      const T* from = x.row(row + r) + column;
      compute_t<T>* to = scratch + r * width;
      for (int64_t c = 0; c < width; ++c) to[c] = static_cast<compute_t<T>>(from[c]);
    }
    return {scratch, rows, width, width};
  } else {
    return {x.row(row) + column, rows, width, x.pitch};
  }
}

}  // namespace lethe::kernels::cpu
