#include "kernels/bias.h"

#include <array>

#include "kernels/cpu/elements.h"

namespace lethe::kernels::cpu {

template <class T>
void add_bias(const T* bias, Rows<T> y) {
  using C = compute_t<T>;
  parallel_elements(y.rows, y.width, [&](int64_t row, int64_t begin, int64_t end) {
    T* out = y.row(row);
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i)
      out[i] = static_cast<T>(static_cast<C>(out[i]) + static_cast<C>(bias[i]));
  });
}

template <class T, class G>
void bias_gradient(Rows<const T> dy, G* dbias, Write write) {
  using C = compute_t<T>;
  constexpr int64_t kPiece = 64;  // columns per piece: each is summed over the rows in order by one thread
  parallel_pieces(dy.width, kPiece, [&](int64_t begin, int64_t end) {
    std::array<C, kPiece> sum{};
    for (int64_t i = 0; i < dy.rows; ++i) {
      const T* d = dy.row(i) + begin;
      for (int64_t c = 0; c < end - begin; ++c) sum[static_cast<size_t>(c)] += static_cast<C>(d[c]);
    }
    for (int64_t c = begin; c < end; ++c)
      put(dbias[c], static_cast<compute_t<G>>(sum[static_cast<size_t>(c - begin)]), write);
  });
}

#define LETHE_BIAS(T, G)                        \
  template void add_bias<T>(const T*, Rows<T>); \
  template void bias_gradient<T, G>(Rows<const T>, G*, Write);
LETHE_BIAS(double, double)
LETHE_BIAS(float, float)
LETHE_BIAS(bf16, float)
#undef LETHE_BIAS
template void bias_gradient<float, bf16>(Rows<const float>, bf16*, Write);
template void bias_gradient<bf16, bf16>(Rows<const bf16>, bf16*, Write);

}  // namespace lethe::kernels::cpu
