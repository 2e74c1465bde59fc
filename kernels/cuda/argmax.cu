// One block a row, which is read once.
#include "kernels/argmax.h"
#include "kernels/cuda/best.cuh"

namespace lethe::kernels::cuda {
namespace {

constexpr int kThreads = 512;

template <class T>
__global__ void __launch_bounds__(kThreads) find(Rows<const T> x, int32_t* places) {
  __shared__ Best<compute_t<T>> shared[kThreads / 32];
  const int64_t row = blockIdx.x;
  const auto best = best_of_row(row_of(x, row), x.width, shared);
  if (threadIdx.x == 0) places[row] = best.place == INT32_MAX ? 0 : best.place;
}

}  // namespace

template <class T>
void argmax(Rows<const T> x, int32_t* places, Stream stream) {
  if (x.rows == 0) return;
  find<T><<<static_cast<unsigned>(x.rows), kThreads, 0, native(stream)>>>(x, places);
}

template void argmax<double>(Rows<const double>, int32_t*, Stream);
template void argmax<float>(Rows<const float>, int32_t*, Stream);
template void argmax<bf16>(Rows<const bf16>, int32_t*, Stream);

}  // namespace lethe::kernels::cuda
