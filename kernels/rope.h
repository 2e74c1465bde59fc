// Rotary position embedding (Su et al., "RoFormer", 2021) in the half-split pairing of Llama's published
// weights: elements j and j + D/2 of a head turn by position * f_j,
//   y_j = x_j cos - x_{j+D/2} sin,   y_{j+D/2} = x_{j+D/2} cos + x_j sin,   f_j = theta^(-2j/D),
// and its gradient is the turn by the negative angle. Longer contexts rescale the frequencies f.
#pragma once

#include "kernels/rope_scaling.h"
#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels {

// frequencies: f, D/2 values in radians per token. head_dim D is even.
void rope_frequencies(double theta, int64_t head_dim, const RopeScaling& scaling, double* frequencies);

// What cos and sin are multiplied by: 1 for all but yarn.
double rope_attention_factor(const RopeScaling& scaling);

// table: [max_position, D], a row holding D/2 cosines and then D/2 sines, times the attention factor. Float
// tables take the angle in float, as the code that Llama models are trained with does.
template <class C>
void rope_table(const double* frequencies, double attention_factor, int64_t max_position, int64_t head_dim,
                C* table);

}  // namespace lethe::kernels

namespace lethe::kernels::cpu {

// x, y: [rows, heads * D], y overwritten; y may be x. positions: one per row, each a row of the table.
// inverse: turn back, for the gradient.
template <class T>
void rope(Rows<const T> x, const int32_t* positions, const compute_t<T>* table, int64_t heads,
          int64_t head_dim, bool inverse, Rows<T> y);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void rope(Rows<const T> x, const int32_t* positions, const compute_t<T>* table, int64_t heads,
          int64_t head_dim, bool inverse, Rows<T> y, Stream stream);

}  // namespace lethe::kernels::cuda
