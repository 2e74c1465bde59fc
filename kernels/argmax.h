// The place of each row's largest value, the first of equals. What is not a number is passed over; where
// nothing else is there, the place is 0.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// x: [N, V]; places: [N], overwritten.
template <class T>
void argmax(Rows<const T> x, int32_t* places);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

template <class T>
void argmax(Rows<const T> x, int32_t* places, Stream stream);

}  // namespace lethe::kernels::cuda
