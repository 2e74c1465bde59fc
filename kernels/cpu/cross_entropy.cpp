#include "kernels/cross_entropy.h"

#include <atomic>

#include "kernels/cpu/largest.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_exp.h"

namespace lethe::kernels::cpu {
template <class T>
void cross_entropy(Rows<const T> logits, const int32_t* labels, compute_t<T>* losses, compute_t<T>* lse) {
  using C = compute_t<T>;
  const int64_t width = logits.width;
  parallel_pieces(logits.rows, rows_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      losses[i] = lse[i] = 0;
      if (labels[i] == kIgnoredLabel) continue;
      const T* x = logits.row(i);
      const C most = largest(x, width);
      C sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < width; ++j) sum += vector_exp(static_cast<C>(x[j]) - most);
      const C log_sum = std::log(sum);
      lse[i] = most + log_sum;
      losses[i] = log_sum - (static_cast<C>(x[labels[i]]) - most);
    }
  });
}

template <class T>
void cross_entropy_backward(Rows<const T> logits, const int32_t* labels, const compute_t<T>* lse,
                            const compute_t<T>* dlosses, Rows<T> dlogits, Write write) {
  using C = compute_t<T>;
  const int64_t width = logits.width;
  parallel_pieces(logits.rows, rows_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* x = logits.row(i);
      T* dx = dlogits.row(i);
      if (labels[i] == kIgnoredLabel) {
        if (write == Write::overwrite) std::fill_n(dx, width, T{});
        continue;
      }
      const C scale = dlosses[i], log_sum = lse[i];
      // The label's own element is computed apart, so that it is rounded once.
      const C at_label = scale * (vector_exp(static_cast<C>(x[labels[i]]) - log_sum) - 1);
      T label_element = dx[labels[i]];
      put(label_element, at_label, write);
      if (write == Write::accumulate) {
#pragma omp simd
        for (int64_t j = 0; j < width; ++j)
          dx[j] = static_cast<T>(static_cast<C>(dx[j]) + scale * vector_exp(static_cast<C>(x[j]) - log_sum));
      } else {
#pragma omp simd
        for (int64_t j = 0; j < width; ++j)
          dx[j] = static_cast<T>(scale * vector_exp(static_cast<C>(x[j]) - log_sum));
      }
      dx[labels[i]] = label_element;
    }
  });
}

template <class T, class S>
void cross_entropy_training(Rows<T> logits, const int32_t* labels, const S* seed, compute_t<T>* losses) {
  using C = compute_t<T>;
  const C dloss = static_cast<C>(*seed);
  parallel_pieces(logits.rows, rows_grain(logits.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Rows<T> row{logits.row(i), 1, logits.width, logits.pitch};
      const Rows<const T> read{row.data, row.rows, row.width, row.pitch};
      C lse = 0;
      cross_entropy<T>(read, labels + i, losses + i, &lse);
      cross_entropy_backward<T>(read, labels + i, &lse, &dloss, row, Write::overwrite);
    }
  });
}

template <class T>
int64_t count_correct(Rows<const T> logits, const int32_t* labels) {
  using C = compute_t<T>;
  std::atomic<int64_t> total = 0;
  parallel_pieces(logits.rows, rows_grain(logits.width), [&](int64_t begin, int64_t end) {
    int64_t correct = 0;
    for (int64_t i = begin; i < end; ++i) {
      if (labels[i] == kIgnoredLabel) continue;
      const T* x = logits.row(i);
      const C most = largest(x, logits.width);
      if (static_cast<C>(x[labels[i]]) != most) continue;
      int64_t earlier = 0;
      for (int64_t j = 0; j < labels[i]; ++j) earlier += static_cast<C>(x[j]) == most ? 1 : 0;
      correct += earlier == 0 ? 1 : 0;
    }
    total += correct;
  });
  return total;
}

int64_t first_invalid_label(const int32_t* labels, int64_t count, int64_t vocabulary) {
  for (int64_t i = 0; i < count; ++i) {
    if (labels[i] != kIgnoredLabel && (labels[i] < 0 || labels[i] >= vocabulary)) return i;
  }
  return -1;
}

#define LETHE_CROSS_ENTROPY(T)                                                                            \
  template void cross_entropy<T>(Rows<const T>, const int32_t*, compute_t<T>*, compute_t<T>*);            \
  template void cross_entropy_backward<T>(Rows<const T>, const int32_t*, const compute_t<T>*,             \
                                          const compute_t<T>*, Rows<T>, Write);                           \
  template void cross_entropy_training<T, double>(Rows<T>, const int32_t*, const double*, compute_t<T>*); \
  template void cross_entropy_training<T, float>(Rows<T>, const int32_t*, const float*, compute_t<T>*);   \
  template int64_t count_correct<T>(Rows<const T>, const int32_t*);
LETHE_CROSS_ENTROPY(double)
LETHE_CROSS_ENTROPY(float)
LETHE_CROSS_ENTROPY(bf16)
#undef LETHE_CROSS_ENTROPY

}  // namespace lethe::kernels::cpu
