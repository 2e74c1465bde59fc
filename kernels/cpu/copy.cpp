#include "kernels/copy.h"

#include <type_traits>

#include "kernels/cpu/parallel.h"

namespace lethe::kernels::cpu {

template <class X, class Y>
void copy(Rows<const X> x, Rows<Y> y, Write write) {
  // Double only where both sides are: a bf16 or float never gains digits on the way.
  using C = std::conditional_t<std::is_same_v<X, double> && std::is_same_v<Y, double>, double, compute_t<Y>>;
  parallel_pieces(x.rows, rows_grain(x.width), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const X* from = x.row(r);
      Y* to = y.row(r);
      if (write == Write::accumulate) {
        for (int64_t i = 0; i < x.width; ++i)
          to[i] = static_cast<Y>(static_cast<C>(to[i]) + static_cast<C>(static_cast<compute_t<X>>(from[i])));
      } else {
        for (int64_t i = 0; i < x.width; ++i)
          to[i] = static_cast<Y>(static_cast<C>(static_cast<compute_t<X>>(from[i])));
      }
    }
  });
}

#define LETHE_COPY(X, Y) template void copy<X, Y>(Rows<const X>, Rows<Y>, Write);
LETHE_COPY(double, double)
LETHE_COPY(double, float)
LETHE_COPY(double, bf16)
LETHE_COPY(float, double)
LETHE_COPY(float, float)
LETHE_COPY(float, bf16)
LETHE_COPY(bf16, double)
LETHE_COPY(bf16, float)
LETHE_COPY(bf16, bf16)
#undef LETHE_COPY

}  // namespace lethe::kernels::cpu
