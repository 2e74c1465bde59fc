// A head's columns are a matrix of their own, whose rows are normalised as any others are.
#include "kernels/head_norm.h"

#include <vector>

#include "kernels/rmsnorm.h"

namespace lethe::kernels::cpu {
namespace {

template <class T>
Rows<T> head_of(Rows<T> x, int64_t head, int64_t head_dim) {
  return {x.data + head * head_dim, x.rows, head_dim, x.pitch};
}

}  // namespace

template <class T>
void head_norm(Rows<const T> x, const T* gain, int64_t head_dim, double epsilon, Rows<T> y,
               compute_t<T>* inverse_rms) {
  for (int64_t h = 0; h < x.width / head_dim; ++h)
    rmsnorm<T>(head_of(x, h, head_dim), gain, epsilon, head_of(y, h, head_dim), inverse_rms + h * x.rows);
}

template <class T>
void head_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, int64_t head_dim,
                        const compute_t<T>* inverse_rms, Rows<T> dx, Write write) {
  for (int64_t h = 0; h < x.width / head_dim; ++h) {
    rmsnorm_backward<T>(head_of(dy, h, head_dim), head_of(x, h, head_dim), gain, inverse_rms + h * x.rows,
                        head_of(dx, h, head_dim), write);
  }
}

template <class T, class G>
void head_norm_backward_gain(Rows<const T> dy, Rows<const T> x, int64_t head_dim,
                             const compute_t<T>* inverse_rms, G* dgain, Write write) {
  // The heads' sums meet before they are rounded to G.
  using C = compute_t<T>;
  std::vector<C> sum(static_cast<size_t>(head_dim), C(0));
  for (int64_t h = 0; h < x.width / head_dim; ++h) {
    rmsnorm_backward_gain<T, C>(head_of(dy, h, head_dim), head_of(x, h, head_dim), inverse_rms + h * x.rows,
                                sum.data(), Write::accumulate);
  }
  for (int64_t c = 0; c < head_dim; ++c)
    put(dgain[c], static_cast<compute_t<G>>(sum[static_cast<size_t>(c)]), write);
}

#define LETHE_HEAD_NORM(T)                                                                                  \
  template void head_norm<T>(Rows<const T>, const T*, int64_t, double, Rows<T>, compute_t<T>*);             \
  template void head_norm_backward<T>(Rows<const T>, Rows<const T>, const T*, int64_t, const compute_t<T>*, \
                                      Rows<T>, Write);
LETHE_HEAD_NORM(double)
LETHE_HEAD_NORM(float)
LETHE_HEAD_NORM(bf16)
#undef LETHE_HEAD_NORM

#define LETHE_HEAD_NORM_GAIN(T, G)                                                                        \
  template void head_norm_backward_gain<T, G>(Rows<const T>, Rows<const T>, int64_t, const compute_t<T>*, \
                                              G*, Write);
LETHE_HEAD_NORM_GAIN(double, double)
LETHE_HEAD_NORM_GAIN(float, float)
LETHE_HEAD_NORM_GAIN(float, bf16)
LETHE_HEAD_NORM_GAIN(bf16, float)
LETHE_HEAD_NORM_GAIN(bf16, bf16)
#undef LETHE_HEAD_NORM_GAIN

}  // namespace lethe::kernels::cpu
