// Element-wise loops over matrices: fixed pieces, and the sigmoid. Their inner
// loops carry `GCC ivdep`: no iteration reads what another wrote, an output may only be an input element by
// element.
#pragma once

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/vector_exp.h"

namespace lethe::kernels::cpu {

// Elements of one piece of a row; a constant, so that what is summed per piece never depends on the machine.
constexpr int64_t kSlice = 32768;

inline int64_t slices_of(int64_t width) {
  return (width + kSlice - 1) / kSlice;
}

// Calls body(row, begin, end) for every row of a rows x width matrix, in slices where a row is wider than a
// piece: a vector is a matrix of one row and must be shared over the cores all the same.
template <class Body>
void parallel_elements(int64_t rows, int64_t width, const Body& body) {
  const int64_t slices = slices_of(width);
  parallel_pieces(rows * slices, slices > 1 ? 1 : rows_grain(width), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = i / slices, slice = i % slices;
      body(row, slice * kSlice, std::min(width, (slice + 1) * kSlice));
    }
  });
}

// 1 / (1 + e^-x).
template <class C>
[[gnu::always_inline]] inline C sigmoid(C x) {
  return C(1) / (C(1) + vector_exp(-x));
}

}  // namespace lethe::kernels::cpu
