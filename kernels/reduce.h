// Sums over whole tensors, in double and in an order fixed by the shape: each piece of at most 32768 elements
// is summed by one thread, then the pieces' sums are added in order. The error grows with the pieces' number,
// not the elements'.
#pragma once

#include "kernels/rows.h"

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
