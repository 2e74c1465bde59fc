// DoRA (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024): a magnitude for each output beside
// the direction V = W + s B A that LoRA gives,
//   y_i = (m_i / n_i) z_i,   z = x V^T,   n_i = ||V_i|| over the inputs.
// n is computed anew in each forward pass and is a constant in the gradient (section 4.3 of the paper, and
// PEFT):
//   dz_i = (m_i / n_i) dy_i,   dm_i = sum over tokens of dy_i z_i / n_i.
// V is never made. With W frozen, ||W_i||^2 is known once and for all, and
//   n_i^2 = ||W_i||^2 + 2 s B_i . P_i + s^2 B_i G B_i^T,   P = W A^T [out, r],   G = A A^T [r, r].
#pragma once

#include <algorithm>

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// squares[i] = ||w_i||^2, summed in double, rounded once.
template <class T>
void row_squares(Rows<const T> w, compute_t<T>* squares);

// factor = m / n, inverse_norm = 1 / n for each of b's rows. squares, magnitude, factor, inverse_norm: [out];
// products P: [out, r]; gram G: [r, r], symmetric; b: [out, r]. A row V_i of zeros gives infinity.
template <class T>
void dora_factors(const compute_t<T>* squares, Rows<const compute_t<T>> products,
                  Rows<const compute_t<T>> gram, Rows<const T> b, const compute_t<T>* magnitude, double scale,
                  compute_t<T>* factor, compute_t<T>* inverse_norm);

// y = z * factor, column by column. factor: [C].
template <class T>
void scale_columns(Rows<const T> z, const compute_t<T>* factor, Rows<T> y);

// dz = dy * factor; and if dmagnitude is not null, [C]: dm = (sum over rows, in order, of dy * z) *
// inverse_norm.
template <class T>
void scale_columns_backward(Rows<const T> dy, Rows<const T> z, const compute_t<T>* factor,
                            const compute_t<T>* inverse_norm, Rows<T> dz, Write write_dz,
                            compute_t<T>* dmagnitude, Write write_dmagnitude);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void row_squares(Rows<const T> w, compute_t<T>* squares, Stream stream);
template <class T>
void dora_factors(const compute_t<T>* squares, Rows<const compute_t<T>> products,
                  Rows<const compute_t<T>> gram, Rows<const T> b, const compute_t<T>* magnitude, double scale,
                  compute_t<T>* factor, compute_t<T>* inverse_norm, Stream stream);
template <class T>
void scale_columns(Rows<const T> z, const compute_t<T>* factor, Rows<T> y, Stream stream);

// Parts of the rows whose share of dm is summed on its own before the parts are added in order.
inline int64_t scale_columns_parts(int64_t rows) {
  return std::clamp<int64_t>(rows / 64, 1, 64);
}
// workspace of scale_columns_backward: one sum for each part and column.
template <class T>
int64_t scale_columns_workspace_bytes(int64_t rows, int64_t width) {
  return scale_columns_parts(rows) * width * static_cast<int64_t>(sizeof(compute_t<T>));
}
// One pass over dy and z. workspace may be null where dmagnitude is.
template <class T>
void scale_columns_backward(Rows<const T> dy, Rows<const T> z, const compute_t<T>* factor,
                            const compute_t<T>* inverse_norm, Rows<T> dz, Write write_dz,
                            compute_t<T>* dmagnitude, Write write_dmagnitude, void* workspace, Stream stream);

}  // namespace lethe::kernels::cuda
