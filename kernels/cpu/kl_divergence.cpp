#include "kernels/kl_divergence.h"

#include <cmath>

#include "kernels/cpu/largest.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_exp.h"
#include "kernels/cross_entropy.h"

namespace lethe::kernels::cpu {
namespace {

// log sum exp of a row, less its largest element.
template <class T>
double log_sum(const T* x, int64_t width, compute_t<T> most) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < width; ++j)
    sum += static_cast<double>(vector_exp(static_cast<compute_t<T>>(x[j]) - most));
  return std::log(sum);
}

}  // namespace

template <class T>
void kl_divergence(Rows<const T> p, Rows<const T> q, const int32_t* labels, compute_t<T>* divergences) {
  using C = compute_t<T>;
  const int64_t width = p.width;
  parallel_pieces(p.rows, rows_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      divergences[i] = 0;
      if (labels[i] == kIgnoredLabel) continue;
      const T *x = p.row(i), *y = q.row(i);
      const C most_x = largest(x, width), most_y = largest(y, width);
      // log p - log q = (x - most_x) - (y - most_y) - (log_sum(x) - log_sum(y))
      const double sums = log_sum(x, width, most_x) - log_sum(y, width, most_y);
      double divergence = 0, total = 0;
#pragma omp simd reduction(+ : divergence, total)
      for (int64_t j = 0; j < width; ++j) {
        const C a = static_cast<C>(x[j]) - most_x, b = static_cast<C>(y[j]) - most_y;
        const auto e = static_cast<double>(vector_exp(a));
        divergence += e * (static_cast<double>(a) - static_cast<double>(b) - sums);
        total += e;
      }
      divergences[i] = static_cast<C>(divergence / total);
    }
  });
}

template void kl_divergence<double>(Rows<const double>, Rows<const double>, const int32_t*, double*);
template void kl_divergence<float>(Rows<const float>, Rows<const float>, const int32_t*, float*);
template void kl_divergence<bf16>(Rows<const bf16>, Rows<const bf16>, const int32_t*, float*);

}  // namespace lethe::kernels::cpu
