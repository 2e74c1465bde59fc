// z = x + y, rounded once: the residual stream's addition.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// All three have the same rows and width; pitches are their own. z may be x or y.
template <class T>
void add(Rows<const T> x, Rows<const T> y, Rows<T> z);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void add(Rows<const T> x, Rows<const T> y, Rows<T> z, Stream stream);

}  // namespace lethe::kernels::cuda
