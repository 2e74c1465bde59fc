// Root-mean-square normalisation of every head on its own, all heads with one gain (the query and key norms
// of Qwen3, Yang et al., "Qwen3 Technical Report", 2025): the formula of kernels/rmsnorm.h for each row and
// head, over the head's D elements.
#pragma once

#include <algorithm>

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// x, y: [rows, heads * D], pitches their own, not the same memory; gain: [D]. inverse_rms: [heads, rows],
// kept for the backward pass.
template <class T>
void head_norm(Rows<const T> x, const T* gain, int64_t head_dim, double epsilon, Rows<T> y,
               compute_t<T>* inverse_rms);

// dx: [rows, heads * D], replaced or added to.
template <class T>
void head_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, int64_t head_dim,
                        const compute_t<T>* inverse_rms, Rows<T> dx, Write write);

// dgain: [D], replaced or added to: head after head, each head's rows in order.
template <class T, class G>
void head_norm_backward_gain(Rows<const T> dy, Rows<const T> x, int64_t head_dim,
                             const compute_t<T>* inverse_rms, G* dgain, Write write);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

// The widest head there is a kernel for.
constexpr int64_t kMostNormedHead = 256;

template <class T>
void head_norm(Rows<const T> x, const T* gain, int64_t head_dim, double epsilon, Rows<T> y,
               compute_t<T>* inverse_rms, Stream stream);

// Blocks of 8 warps, each warp with a row's head at a time: as many as two on each of an H100's
// multiprocessors.
inline int64_t head_norm_parts(int64_t rows, int64_t heads) {
  return std::clamp<int64_t>((rows * heads + 7) / 8, 1, 264);
}
// workspace of head_norm_backward where dgain is wanted: one sum for each block and element of the gain.
template <class T>
int64_t head_norm_backward_workspace_bytes(int64_t rows, int64_t heads, int64_t head_dim) {
  return head_norm_parts(rows, heads) * head_dim * static_cast<int64_t>(sizeof(compute_t<T>));
}
// Both gradients in one pass; what is not wanted has no data.
template <class T, class G>
void head_norm_backward(Rows<const T> dy, Rows<const T> x, const T* gain, int64_t head_dim,
                        const compute_t<T>* inverse_rms, Rows<T> dx, Write write_dx, G* dgain,
                        Write write_dgain, void* workspace, Stream stream);

}  // namespace lethe::kernels::cuda
