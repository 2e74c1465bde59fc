#include "kernels/dora.h"

#include <array>
#include <cmath>

#include "kernels/cpu/elements.h"

namespace lethe::kernels::cpu {

template <class T>
void row_squares(Rows<const T> w, compute_t<T>* squares) {
  parallel_pieces(w.rows, rows_grain(w.width), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < w.width; ++k) {
        const auto v = static_cast<double>(static_cast<compute_t<T>>(w.row(i)[k]));
        sum += v * v;
      }
      squares[i] = static_cast<compute_t<T>>(sum);
    }
  });
}

template <class T>
void dora_factors(const compute_t<T>* squares, Rows<const compute_t<T>> products,
                  Rows<const compute_t<T>> gram, Rows<const T> b, const compute_t<T>* magnitude, double scale,
                  compute_t<T>* factor, compute_t<T>* inverse_norm) {
  using C = compute_t<T>;
  const C s = static_cast<C>(scale);
  parallel_pieces(b.rows, rows_grain(b.width * b.width), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const T* row = b.row(i);
      C mixed = 0, own = 0;
      for (int64_t k = 0; k < b.width; ++k) {
        C gram_row = 0;
        for (int64_t l = 0; l < b.width; ++l) gram_row += gram.row(l)[k] * static_cast<C>(row[l]);
        mixed += static_cast<C>(row[k]) * products.row(i)[k];
        own += static_cast<C>(row[k]) * gram_row;
      }
      // The sum is a square; where it nearly cancels, roundings may leave it below 0.
      const C square = std::max(C(0), squares[i] + 2 * s * mixed + s * s * own);
      const C norm = std::sqrt(square);
      inverse_norm[i] = 1 / norm;
      factor[i] = magnitude[i] / norm;
    }
  });
}

template <class T>
void scale_columns(Rows<const T> z, const compute_t<T>* factor, Rows<T> y) {
  using C = compute_t<T>;
  parallel_elements(z.rows, z.width, [&](int64_t row, int64_t begin, int64_t end) {
    const T* in = z.row(row);
    T* out = y.row(row);
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(static_cast<C>(in[i]) * factor[i]);
  });
}

template <class T>
void scale_columns_backward(Rows<const T> dy, Rows<const T> z, const compute_t<T>* factor,
                            const compute_t<T>* inverse_norm, Rows<T> dz, Write write_dz,
                            compute_t<T>* dmagnitude, Write write_dmagnitude) {
  using C = compute_t<T>;
  constexpr int64_t kPiece = 64;  // columns per piece: each is summed over the rows in order by one thread
  parallel_pieces(dy.width, kPiece, [&](int64_t begin, int64_t end) {
    std::array<C, kPiece> sum{};
    for (int64_t i = 0; i < dy.rows; ++i) {
      const T *d = dy.row(i), *v = z.row(i);
      T* out = dz.row(i);
      for (int64_t c = begin; c < end; ++c) {
        const C g = static_cast<C>(d[c]);
        sum[static_cast<size_t>(c - begin)] += g * static_cast<C>(v[c]);
        put(out[c], g * factor[c], write_dz);
      }
    }
    if (dmagnitude == nullptr) return;
    for (int64_t c = begin; c < end; ++c)
      put(dmagnitude[c], sum[static_cast<size_t>(c - begin)] * inverse_norm[c], write_dmagnitude);
  });
}

#define LETHE_DORA(T)                                                                                      \
  template void row_squares<T>(Rows<const T>, compute_t<T>*);                                              \
  template void dora_factors<T>(const compute_t<T>*, Rows<const compute_t<T>>, Rows<const compute_t<T>>,   \
                                Rows<const T>, const compute_t<T>*, double, compute_t<T>*, compute_t<T>*); \
  template void scale_columns<T>(Rows<const T>, const compute_t<T>*, Rows<T>);                             \
  template void scale_columns_backward<T>(Rows<const T>, Rows<const T>, const compute_t<T>*,               \
                                          const compute_t<T>*, Rows<T>, Write, compute_t<T>*, Write);
LETHE_DORA(double)
LETHE_DORA(float)
LETHE_DORA(bf16)
#undef LETHE_DORA

}  // namespace lethe::kernels::cpu
