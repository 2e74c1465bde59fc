// A bias on the outputs of a linear map, and its gradient:
//   y_i <- y_i + b,   db = sum over rows i of dy_i.
#pragma once

#include <algorithm>

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// y: [rows, C], rewritten, each sum rounded once; bias: [C].
template <class T>
void add_bias(const T* bias, Rows<T> y);

// dbias: [C], replaced or added to; rows are summed in order, in T's compute type.
template <class T, class G>
void bias_gradient(Rows<const T> dy, G* dbias, Write write);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void add_bias(const T* bias, Rows<T> y, Stream stream);

// Parts of the rows that are summed on their own before the parts are added in order.
inline int64_t bias_parts(int64_t rows) {
  return std::clamp<int64_t>(rows / 128, 1, 64);
}
// workspace of bias_gradient: one sum for each part and column.
template <class T>
int64_t bias_gradient_workspace_bytes(int64_t rows, int64_t width) {
  return bias_parts(rows) * width * static_cast<int64_t>(sizeof(compute_t<T>));
}
template <class T, class G>
void bias_gradient(Rows<const T> dy, G* dbias, Write write, void* workspace, Stream stream);

}  // namespace lethe::kernels::cuda
