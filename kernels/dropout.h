// Dropout with inverted scaling (Srivastava et al., 2014): y = x / (1 - p) where kept, else 0. Whether an
// element is kept depends on (seed, step, stream, position) alone, with
//   position = (first_row + row) * width + column   among all rows of the step:
// word position % 4 of philox(key = seed, counter = (position / 4, stream + step * 0x9E3779B97F4A7C15)),
// kept where its upper 24 bits are at least p * 2^24. So neither the split into micro-batches nor threads,
// ranks, recomputation or resuming changes what is dropped, and no mask is stored: the gradient is the same
// function of dy.
#pragma once

#include "kernels/rows.h"
#include "kernels/stream.h"

namespace lethe::kernels::cpu {

// Values that change from step to step lie in memory, where a recorded program finds them.
struct DropoutKey {
  const int64_t* seed = nullptr;
  const int64_t* step = nullptr;
  const int64_t* first_row = nullptr;
  uint64_t stream = 0;  // which dropout of the model
};

// x, y: the same rows and width; y is replaced or added to, and may be x. 0 <= p < 1.
template <class T>
void dropout(Rows<const T> x, double p, const DropoutKey& key, Rows<T> y, Write write);

}  // namespace lethe::kernels::cpu

namespace lethe::kernels::cuda {

using cpu::DropoutKey;

template <class T>
void dropout(Rows<const T> x, double p, const DropoutKey& key, Rows<T> y, Write write, Stream stream);

}  // namespace lethe::kernels::cuda
