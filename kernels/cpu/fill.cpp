#include "kernels/fill.h"

#include "kernels/cpu/elements.h"

namespace lethe::kernels::cpu {

template <class T>
void fill(Rows<T> y, compute_t<T> value) {
  const T stored = static_cast<T>(value);
  parallel_elements(y.rows, y.width, [&](int64_t row, int64_t begin, int64_t end) {
    std::fill(y.row(row) + begin, y.row(row) + end, stored);
  });
}

template <class T, class S>
void broadcast(const S* value, Rows<T> y, Write write) {
  using C = compute_t<T>;
  const C c = static_cast<C>(*value);
  if (write == Write::overwrite) return fill(y, c);
  parallel_elements(y.rows, y.width, [&](int64_t row, int64_t begin, int64_t end) {
    T* out = y.row(row);
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(static_cast<C>(out[i]) + c);
  });
}

#define LETHE_FILL(T)                                                \
  template void fill<T>(Rows<T>, compute_t<T>);                      \
  template void broadcast<T, double>(const double*, Rows<T>, Write); \
  template void broadcast<T, float>(const float*, Rows<T>, Write);
LETHE_FILL(double)
LETHE_FILL(float)
LETHE_FILL(bf16)
#undef LETHE_FILL

}  // namespace lethe::kernels::cpu
