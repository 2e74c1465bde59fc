#include "kernels/reduce.h"

#include "kernels/cpu/elements.h"

namespace lethe::kernels::cpu {
namespace {

// scratch[piece] = sum over the piece's elements of value(element); returns the sum of the pieces.
template <class T, class Value>
double reduce(Rows<const T> x, double* scratch, const Value& value) {
  const int64_t slices = slices_of(x.width);
  const int64_t grain = slices > 1 ? 1 : rows_grain(x.width);
  parallel_pieces(x.rows * slices, grain, [&](int64_t first, int64_t last) {
    double piece = 0;
    for (int64_t i = first; i < last; ++i) {
      const T* row = x.row(i / slices);
      const int64_t begin = i % slices * kSlice, end = std::min(x.width, begin + kSlice);
#pragma omp simd reduction(+ : piece)
      for (int64_t c = begin; c < end; ++c)
        piece += value(static_cast<double>(static_cast<compute_t<T>>(row[c])));
    }
    scratch[first / grain] = piece;
  });
  double total = 0;
  for (int64_t i = 0; i < reduction_pieces(x.rows, x.width); ++i) total += scratch[i];
  return total;
}

}  // namespace

int64_t reduction_pieces(int64_t rows, int64_t width) {
  const int64_t slices = slices_of(width);
  if (slices > 1) return rows * slices;
  const int64_t grain = rows_grain(width);
  return width == 0 ? 0 : (rows + grain - 1) / grain;
}

template <class T, class R>
void sum(Rows<const T> x, double* scratch, R* total, Write write) {
  const double all = reduce(x, scratch, [](double v) { return v; });
  *total = static_cast<R>(write == Write::accumulate ? static_cast<double>(*total) + all : all);
}

template <class T>
void sum_of_squares(Rows<const T> x, double* scratch, double* total) {
  *total = reduce(x, scratch, [](double v) { return v * v; });
}

#define LETHE_REDUCE(T)                                                 \
  template void sum<T, double>(Rows<const T>, double*, double*, Write); \
  template void sum<T, float>(Rows<const T>, double*, float*, Write);   \
  template void sum_of_squares<T>(Rows<const T>, double*, double*);
LETHE_REDUCE(double)
LETHE_REDUCE(float)
LETHE_REDUCE(bf16)
#undef LETHE_REDUCE

}  // namespace lethe::kernels::cpu
