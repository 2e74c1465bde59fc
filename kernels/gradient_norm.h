// The length of all gradients taken together and the factor that clips it: a sum of squares over many
// tensors, then a finish.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstddef>
#include <span>

#include "kernels/philox.h"
#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels {

// norm = sqrt(squares);  scale = min(1, max_norm / (norm + 1e-6)), 1 where max_norm is 0. Where norm or loss
// is not finite, *halted becomes 1; while it is, the scale is NaN, which tells the updates to change nothing.
LETHE_HOST_DEVICE inline void finish_norm(double squares, double loss, double max_norm, double* norm,
                                          double* scale, int64_t* halted) {
  const double length = sqrt(squares);
  const double factor = max_norm / (length + 1e-6);
  *norm = length;
  if (!(length <= DBL_MAX && fabs(loss) <= DBL_MAX)) *halted = 1;
  *scale = *halted != 0 ? static_cast<double>(NAN) : max_norm > 0 && factor < 1 ? factor : 1;
}

namespace cuda {

// Partial sums that a launch leaves at most: doubles of scratch of sum_of_squares.
constexpr int64_t kSquarePartials = 8192;

// Doubles of scratch for the sums of so many tensors, of up to three storage types.
inline int64_t norm_partials(size_t tensors) {
  constexpr int64_t kTensorsALaunch = 512, kTypes = 3;
  return kSquarePartials * (static_cast<int64_t>(tensors) / kTensorsALaunch + kTypes);
}

// Writes partial sums of the squares of all elements, in double, and returns how many: their number and what
// each adds up, in which order, is a matter of the shapes alone.
template <class T>
int64_t sums_of_squares(std::span<const Rows<const T>> tensors, double* partials, Stream stream);

// *sum becomes the sum of the squares of x's elements, in double; its order is a matter of x's shape alone.
// partials: kSquarePartials of scratch.
template <class T>
void sum_of_squares(Rows<const T> x, double* partials, double* sum, Stream stream);

// The count sums become 0.
void clear_sums(double* sums, int64_t count, Stream stream);

// finish_norm of the partials' sum.
void finish_norm(const double* partials, int64_t count, const double* loss, double max_norm, double* norm,
                 double* scale, int64_t* halted, Stream stream);

}  // namespace cuda

}  // namespace lethe::kernels
