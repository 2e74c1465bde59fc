// Root-mean-square normalisation (Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019), per row x
// of width C:
//   r = 1 / sqrt(mean(x^2) + epsilon),   y = g * (x * r)
// with x * r rounded to the storage type before the gain is applied, as Llama's published code does.
// With h = g * dy the gradients are
//   dx = r * (h - x * r^2 * mean(h * x)),   dg = sum over rows of dy * x * r.
#pragma once

#include "kernels/rows.h"

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
