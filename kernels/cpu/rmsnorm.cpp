#include "kernels/rmsnorm.h"

#include <array>
#include <cmath>

#include "kernels/cpu/parallel.h"

namespace lethe::kernels::cpu {

template <class T>
void rmsnorm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, compute_t<T>* inverse_rms) {
  using C = compute_t<T>;
  const int64_t width = x.width;
  parallel_pieces(x.rows, rows_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* in = x.row(i);
      T* out = y.row(i);
      C sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < width; ++c) sum += static_cast<C>(in[c]) * static_cast<C>(in[c]);
      const C r = C(1) / std::sqrt(sum / static_cast<C>(width) + static_cast<C>(epsilon));
      inverse_rms[i] = r;
      for (int64_t c = 0; c < width; ++c) {
        const T normalised = static_cast<T>(static_cast<C>(in[c]) * r);
        out[c] = static_cast<T>(static_cast<C>(gain[c]) * static_cast<C>(normalised));
      }
    }
  });
}

template <class T>
void rmsnorm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                      Rows<T> dx, Write write) {
  using C = compute_t<T>;
  const int64_t width = x.width;
  parallel_pieces(x.rows, rows_grain(width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T *in = x.row(i), *d = dy.row(i);
      T* out = dx.row(i);
      const C r = inverse_rms[i];
      C dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int64_t c = 0; c < width; ++c)
        dot += static_cast<C>(gain[c]) * static_cast<C>(d[c]) * static_cast<C>(in[c]);
      const C along_x = r * r * dot / static_cast<C>(width);
      for (int64_t c = 0; c < width; ++c) {
        put(out[c], r * (static_cast<C>(gain[c]) * static_cast<C>(d[c]) - static_cast<C>(in[c]) * along_x),
            write);
      }
    }
  });
}

template <class T>
void rmsnorm_backward_gain(Rows<const T> dy, Rows<const T> x, const compute_t<T>* inverse_rms,
                           compute_t<T>* dgain, Write write) {
  using C = compute_t<T>;
  constexpr int64_t kSlice = 64;  // columns per piece: each is summed over the rows in order by one thread
  parallel_pieces(x.width, kSlice, [&](int64_t begin, int64_t end) {
    std::array<C, kSlice> sum{};
    for (int64_t i = 0; i < x.rows; ++i) {
      const T *in = x.row(i) + begin, *d = dy.row(i) + begin;
      const C r = inverse_rms[i];
      for (int64_t c = 0; c < end - begin; ++c) {
        sum[static_cast<size_t>(c)] += static_cast<C>(d[c]) * static_cast<C>(in[c]) * r;
      }
    }
    for (int64_t c = begin; c < end; ++c) put(dgain[c], sum[static_cast<size_t>(c - begin)], write);
  });
}

#define LETHE_RMSNORM(T)                                                                                   \
  template void rmsnorm<T>(Rows<const T>, const T*, double, Rows<T>, compute_t<T>*);                       \
  template void rmsnorm_backward<T>(Rows<const T>, Rows<const T>, const T*, const compute_t<T>*, Rows<T>,  \
                                    Write);                                                                \
  template void rmsnorm_backward_gain<T>(Rows<const T>, Rows<const T>, const compute_t<T>*, compute_t<T>*, \
                                         Write);
LETHE_RMSNORM(double)
LETHE_RMSNORM(float)
LETHE_RMSNORM(bf16)
#undef LETHE_RMSNORM

}  // namespace lethe::kernels::cpu
