#include "kernels/sum_ranks.h"

#include <type_traits>

#include "kernels/bf16.h"

namespace lethe::kernels {

template <class T>
void sum_ranks(T* own, const T* others, int64_t stride, int me, int world, int64_t count) {
  using Wide = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
  for (int64_t i = 0; i < count; ++i) {
    const auto copy = [&](int r) {
      return static_cast<Wide>(r == me ? own[i] : others[(r < me ? r : r - 1) * stride + i]);
    };
    Wide sum = copy(0);
    for (int r = 1; r < world; ++r) sum += copy(r);
    own[i] = static_cast<T>(sum);
  }
}

template void sum_ranks<double>(double*, const double*, int64_t, int, int, int64_t);
template void sum_ranks<float>(float*, const float*, int64_t, int, int, int64_t);
template void sum_ranks<bf16>(bf16*, const bf16*, int64_t, int, int, int64_t);
template void sum_ranks<int64_t>(int64_t*, const int64_t*, int64_t, int, int, int64_t);

}  // namespace lethe::kernels
