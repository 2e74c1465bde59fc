// How long something took, counted by whoever does the work.
#pragma once

#include <cstdint>

#include "kernels/stream.h"

namespace lethe::kernels {

struct Stopwatch {
  int64_t nanoseconds = 0;  // between each start and the stop that came after it, all together
  int64_t begun = 0;        // at the last start, by a clock that only this device knows
};

namespace cpu {
void start(Stopwatch& stopwatch);
void stop(Stopwatch& stopwatch);
}  // namespace cpu

namespace cuda {
// The stopwatch lies in the GPU's memory. It starts and stops when the stream comes there; in a graph too.
void start(Stopwatch* stopwatch, Stream stream);
void stop(Stopwatch* stopwatch, Stream stream);
}  // namespace cuda

}  // namespace lethe::kernels
