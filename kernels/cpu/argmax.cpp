#include "kernels/argmax.h"

#include "kernels/cpu/largest.h"
#include "kernels/cpu/parallel.h"

namespace lethe::kernels::cpu {

template <class T>
void argmax(Rows<const T> x, int32_t* places) {
  using C = compute_t<T>;
  parallel_pieces(x.rows, rows_grain(x.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* row = x.row(i);
      const C most = largest(row, x.width);
      int64_t place = 0;
      while (place < x.width && static_cast<C>(row[place]) != most) ++place;
      places[i] = place == x.width ? 0 : static_cast<int32_t>(place);
    }
  });
}

template void argmax<double>(Rows<const double>, int32_t*);
template void argmax<float>(Rows<const float>, int32_t*);
template void argmax<bf16>(Rows<const bf16>, int32_t*);

}  // namespace lethe::kernels::cpu
