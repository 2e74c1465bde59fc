#include "kernels/rmsnorm.h"

#include <array>
#include <cmath>

#include "kernels/cpu/parallel.h"

namespace lethe::kernels::cpu {

namespace {

template <class T>
compute_t<T> inverse_rms_of(const T* x, int64_t width, double epsilon) {
  using C = compute_t<T>;
  C sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < width; ++c) sum += static_cast<C>(x[c]) * static_cast<C>(x[c]);
  return C(1) / std::sqrt(sum / static_cast<C>(width) + static_cast<C>(epsilon));
}

template <class T>
void scale(const T* x, const T* gain, compute_t<T> r, T* y, int64_t width) {
  using C = compute_t<T>;
  for (int64_t c = 0; c < width; ++c) {
    const T normalised = static_cast<T>(static_cast<C>(x[c]) * r);
    y[c] = static_cast<T>(static_cast<C>(gain[c]) * static_cast<C>(normalised));
  }
}

}  // namespace

template <class T>
void rmsnorm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, compute_t<T>* inverse_rms) {
  parallel_pieces(x.rows, rows_grain(x.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      inverse_rms[i] = inverse_rms_of(x.row(i), x.width, epsilon);
      scale(x.row(i), gain, inverse_rms[i], y.row(i), x.width);
    }
  });
}

template <class T>
void add_rmsnorm(Rows<const T> a, Rows<const T> b, const T* gain, double epsilon, Rows<T> z, Rows<T> y,
                 compute_t<T>* inverse_rms) {
  using C = compute_t<T>;
  parallel_pieces(a.rows, rows_grain(a.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T *first = a.row(i), *second = b.row(i);
      T* sum = z.row(i);
      for (int64_t c = 0; c < a.width; ++c)
        sum[c] = static_cast<T>(static_cast<C>(first[c]) + static_cast<C>(second[c]));
      inverse_rms[i] = inverse_rms_of<T>(sum, a.width, epsilon);
      scale<T>(sum, gain, inverse_rms[i], y.row(i), a.width);
    }
  });
}

template <class T>
void rmsnorm_again(Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms, Rows<T> y) {
  parallel_pieces(x.rows, rows_grain(x.width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) scale(x.row(i), gain, inverse_rms[i], y.row(i), x.width);
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

template <class T, class G>
void rmsnorm_backward_gain(Rows<const T> dy, Rows<const T> x, const compute_t<T>* inverse_rms, G* dgain,
                           Write write) {
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
    for (int64_t c = begin; c < end; ++c)
      put(dgain[c], static_cast<compute_t<G>>(sum[static_cast<size_t>(c - begin)]), write);
  });
}

#define LETHE_RMSNORM(T)                                                                                  \
  template void rmsnorm<T>(Rows<const T>, const T*, double, Rows<T>, compute_t<T>*);                      \
  template void add_rmsnorm<T>(Rows<const T>, Rows<const T>, const T*, double, Rows<T>, Rows<T>,          \
                               compute_t<T>*);                                                            \
  template void rmsnorm_again<T>(Rows<const T>, const T*, const compute_t<T>*, Rows<T>);                  \
  template void rmsnorm_backward<T>(Rows<const T>, Rows<const T>, const T*, const compute_t<T>*, Rows<T>, \
                                    Write);
LETHE_RMSNORM(double)
LETHE_RMSNORM(float)
LETHE_RMSNORM(bf16)
#undef LETHE_RMSNORM

#define LETHE_RMSNORM_GAIN(T, G) \
  template void rmsnorm_backward_gain<T, G>(Rows<const T>, Rows<const T>, const compute_t<T>*, G*, Write);
LETHE_RMSNORM_GAIN(double, double)
LETHE_RMSNORM_GAIN(float, float)
LETHE_RMSNORM_GAIN(float, bf16)
LETHE_RMSNORM_GAIN(bf16, float)
LETHE_RMSNORM_GAIN(bf16, bf16)
#undef LETHE_RMSNORM_GAIN

}  // namespace lethe::kernels::cpu
