// Sums over whole tensors, in double and in an order fixed by the shape: each piece of at most 32768 elements
// is summed by one thread, then the pieces' sums are added in order. The error grows with the pieces' number,
// not the elements'.
#pragma once

#include <algorithm>

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// How many doubles of scratch a reduction over rows x width elements needs.
int64_t reduction_pieces(int64_t rows, int64_t width);

// *total = sum of x, or *total += it; rounded once, to R (double or float).
template <class T, class R>
void sum(Rows<const T> x, double* scratch, R* total, Write write);

// *total = sum of x^2.
template <class T>
void sum_of_squares(Rows<const T> x, double* scratch, double* total);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

// How many doubles of scratch a reduction over rows x width elements needs: one for each block.
inline int64_t reduction_pieces(int64_t rows, int64_t width) {
  return std::min<int64_t>((rows * width + 4095) / 4096, 1024);
}

template <class T, class R>
void sum(Rows<const T> x, double* scratch, R* total, Write write, Stream stream);
// *total = sum of x w, or *total += it; x and w have the same rows and width.
template <class T>
void weighted_sum(Rows<const T> x, Rows<const T> w, double* scratch, compute_t<T>* total, Write write,
                  Stream stream);
// y = *scale * x, or y += it.
template <class T>
void scaled(const compute_t<T>* scale, Rows<const T> x, Rows<T> y, Write write, Stream stream);

}  // namespace lethe::kernels::cuda
