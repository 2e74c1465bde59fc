#include "kernels/add.h"

#include "kernels/cpu/elements.h"

namespace lethe::kernels::cpu {

template <class T>
void add(Rows<const T> x, Rows<const T> y, Rows<T> z) {
  using C = compute_t<T>;
  parallel_elements(x.rows, x.width, [&](int64_t row, int64_t begin, int64_t end) {
    const T *a = x.row(row), *b = y.row(row);
    T* out = z.row(row);
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i)
      out[i] = static_cast<T>(static_cast<C>(a[i]) + static_cast<C>(b[i]));
  });
}

template void add<double>(Rows<const double>, Rows<const double>, Rows<double>);
template void add<float>(Rows<const float>, Rows<const float>, Rows<float>);
template void add<bf16>(Rows<const bf16>, Rows<const bf16>, Rows<bf16>);

}  // namespace lethe::kernels::cpu
