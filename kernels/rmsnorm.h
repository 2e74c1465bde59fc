// Root-mean-square normalisation (Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019), per row x
// of width C:
//   r = 1 / sqrt(mean(x^2) + epsilon),   y = g * (x * r)
// with x * r rounded to the storage type before the gain is applied, as Llama's published code does.
// With h = g * dy the gradients are
//   dx = r * (h - x * r^2 * mean(h * x)),   dg = sum over rows of dy * x * r.
// Fused with the residual addition before it, x is z = a + b, rounded to the storage type and then used.
#pragma once

#include <algorithm>

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// x, y: [rows, C], pitches their own. gain: [C]. inverse_rms: r, one per row, kept for the backward pass.
template <class T>
void rmsnorm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, compute_t<T>* inverse_rms);

// z = a + b, y = rmsnorm(z). z may be a or b.
template <class T>
void add_rmsnorm(Rows<const T> a, Rows<const T> b, const T* gain, double epsilon, Rows<T> z, Rows<T> y,
                 compute_t<T>* inverse_rms);

// y once more, from the r that was kept: the same bits.
template <class T>
void rmsnorm_again(Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms, Rows<T> y);

// dx: [rows, C], replaced or added to.
template <class T>
void rmsnorm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                      Rows<T> dx, Write write);

// dgain: [C], replaced or added to; rows are summed in order.
template <class T, class G>
void rmsnorm_backward_gain(Rows<const T> dy, Rows<const T> x, const compute_t<T>* inverse_rms, G* dgain,
                           Write write);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void rmsnorm(Rows<const T> x, const T* gain, double epsilon, Rows<T> y, compute_t<T>* inverse_rms,
             Stream stream);
template <class T>
void add_rmsnorm(Rows<const T> a, Rows<const T> b, const T* gain, double epsilon, Rows<T> z, Rows<T> y,
                 compute_t<T>* inverse_rms, Stream stream);
template <class T>
void rmsnorm_again(Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms, Rows<T> y, Stream stream);

// Parts of the rows whose share of dgain is summed on its own, before the parts are added in order: as many
// blocks as the 132 multiprocessors of an H100 hold at once, fewer the wider a row. Rows of up to 2 KiB go
// several to a block.
template <class T>
int64_t rmsnorm_gain_parts(int64_t rows, int64_t width) {
  if (width * static_cast<int64_t>(sizeof(T)) <= 2048) return std::min<int64_t>((rows + 7) / 8, 132 * 2);
  const int64_t on_each = width <= 1024 ? 8 : width <= 2048 ? 4 : width <= 4096 ? 3 : 2;
  return std::min<int64_t>(rows, 132 * on_each);
}
// workspace of rmsnorm_backward where dgain is wanted: one sum for each part and column.
template <class T>
int64_t rmsnorm_backward_workspace_bytes(int64_t rows, int64_t width) {
  return rmsnorm_gain_parts<T>(rows, width) * width * static_cast<int64_t>(sizeof(compute_t<T>));
}
// Both gradients in one pass; what is not wanted has no data.
template <class T, class G>
void rmsnorm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, const compute_t<T>* inverse_rms,
                      Rows<T> dx, Write write_dx, G* dgain, Write write_dgain, void* workspace,
                      Stream stream);

}  // namespace lethe::kernels::cuda
