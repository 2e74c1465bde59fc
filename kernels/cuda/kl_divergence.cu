// One block a row: the largest logits and the sums of both rows in one pass, the divergence in a second,
// whose reads the caches still hold. A thread's part is summed in the compute type, the block's in double.
#include <math_constants.h>

#include "kernels/cross_entropy.h"
#include "kernels/cuda/device.cuh"
#include "kernels/kl_divergence.h"

namespace lethe::kernels::cuda {
namespace {

constexpr int kThreads = 512;

template <class C>
struct Larger {
  __device__ C operator()(C a, C b) const { return b > a ? b : a; }
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    diverge(Rows<const T> p, Rows<const T> q, const int32_t* labels, compute_t<T>* divergences) {
  using C = compute_t<T>;
  __shared__ C most[kThreads / 32];
  __shared__ double sums[kThreads / 32];
  const int64_t row = blockIdx.x;
  if (labels[row] == kIgnoredLabel) {
    if (threadIdx.x == 0) divergences[row] = 0;
    return;
  }
  const T *x = row_of(p, row), *y = row_of(q, row);
  C most_x = -static_cast<C>(CUDART_INF), most_y = most_x;
  for (int64_t j = threadIdx.x; j < p.width; j += kThreads) {
    most_x = Larger<C>()(most_x, widen(x[j]));
    most_y = Larger<C>()(most_y, widen(y[j]));
  }
  most_x = block_reduce(most_x, Larger<C>(), most);
  most_y = block_reduce(most_y, Larger<C>(), most);
  C sum_x = 0, sum_y = 0;
  for (int64_t j = threadIdx.x; j < p.width; j += kThreads) {
    sum_x += exponential(widen(x[j]) - most_x);
    sum_y += exponential(widen(y[j]) - most_y);
  }
  const double total = block_reduce(static_cast<double>(sum_x), Plus(), sums);
  const double other = block_reduce(static_cast<double>(sum_y), Plus(), sums);
  const auto logs = static_cast<C>(log(total) - log(other));
  C mine = 0;
  for (int64_t j = threadIdx.x; j < p.width; j += kThreads) {
    const C a = widen(x[j]) - most_x, b = widen(y[j]) - most_y;
    const C e = exponential(a);
    if (e > 0) mine += e * (a - b - logs);
  }
  const double divergence = block_reduce(static_cast<double>(mine), Plus(), sums);
  if (threadIdx.x == 0) divergences[row] = static_cast<C>(divergence / total);
}

}  // namespace

template <class T>
void kl_divergence(Rows<const T> p, Rows<const T> q, const int32_t* labels, compute_t<T>* divergences,
                   Stream stream) {
  if (p.rows == 0) return;
  diverge<T><<<static_cast<unsigned>(p.rows), kThreads, 0, native(stream)>>>(p, q, labels, divergences);
}

template void kl_divergence<double>(Rows<const double>, Rows<const double>, const int32_t*, double*, Stream);
template void kl_divergence<float>(Rows<const float>, Rows<const float>, const int32_t*, float*, Stream);
template void kl_divergence<bf16>(Rows<const bf16>, Rows<const bf16>, const int32_t*, float*, Stream);

}  // namespace lethe::kernels::cuda
