// Root-mean-square normalisation (Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019), per row x
// of width C:
//   r = 1 / sqrt(mean(x^2) + epsilon),   y = g * (x * r)
// with x * r rounded to the storage type before the gain is applied, as Llama's published code does.
// With h = g * dy the gradients are
//   dx = r * (h - x * r^2 * mean(h * x)),   dg = sum over rows of dy * x * r.
#pragma once

#include <algorithm>

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// x, y: [rows, C], pitches their own. gain: [C]. inverse_rms: r, one per row, kept for the backward pass.
template <class T>
void rmsnorm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, compute_t<T>* inverse_rms);

// dx: [rows, C], replaced or added to.
template <class T>
void rmsnorm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                      Rows<T> dx, Write write);

// dgain: [C], replaced or added to; rows are summed in order.
template <class T>
void rmsnorm_backward_gain(Rows<const T> dy, Rows<const T> x, const compute_t<T>* inverse_rms,
                           compute_t<T>* dgain, Write write);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void rmsnorm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, compute_t<T>* inverse_rms,
             Stream stream);
template <class T>
void rmsnorm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                      Rows<T> dx, Write write, Stream stream);

// Slices of rows that are summed on their own before they are added in order.
inline int64_t rmsnorm_gain_slices(int64_t rows) {
  return std::min<int64_t>((rows + 127) / 128, 128);
}
// workspace: one sum for each slice and column.
template <class T>
int64_t rmsnorm_backward_gain_workspace_bytes(int64_t rows, int64_t width) {
  return rmsnorm_gain_slices(rows) * width * static_cast<int64_t>(sizeof(compute_t<T>));
}
template <class T>
void rmsnorm_backward_gain(Rows<const T> dy, Rows<const T> x, const compute_t<T>* inverse_rms,
                           compute_t<T>* dgain, Write write, void* workspace, Stream stream);

}  // namespace lethe::kernels::cuda
