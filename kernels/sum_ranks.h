// The sum of what several ranks hold, in the order of the ranks, so that its bits hang on nothing else.
#pragma once

#include <cstdint>

#include "kernels/stream.h"

namespace lethe::kernels {

// own[i] = x_0[i] + x_1[i] + ... + x_{world-1}[i], added from left to right (bf16 in float32) and rounded
// once. x_me is own; the others lie in `others` one behind the other, by rank, `stride` elements apart. T:
// double, float, bf16, int64_t.
template <class T>
void sum_ranks(T* own, const T* others, int64_t stride, int me, int world, int64_t count);

namespace cuda {
// own, others, stride * sizeof(T) and count * sizeof(T): multiples of 16 bytes.
template <class T>
void sum_ranks(T* own, const T* others, int64_t stride, int me, int world, int64_t count, Stream stream);
}  // namespace cuda

}  // namespace lethe::kernels
