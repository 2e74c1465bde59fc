// What every kernel takes: plain pointers with sizes. A kernel never allocates, never synchronises and reads
// no global state; scratch space is an argument.
#pragma once

#include <cstdint>

#include "kernels/bf16.h"

namespace lethe::kernels {

// A matrix of `rows` rows, each `width` elements wide, starting `pitch` elements apart (pitch >= width).
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  int64_t pitch = 0;

  T* row(int64_t i) const { return data + i * pitch; }
};

// Whether an output replaces what its buffer holds or is added to it.
enum class Write { overwrite, accumulate };

// Stores or adds one value, rounding once to the storage type.
template <class T>
inline void put(T& target, compute_t<T> value, Write write) {
  using C = compute_t<T>;
  target = static_cast<T>(write == Write::accumulate ? static_cast<C>(target) + value : value);
}

}  // namespace lethe::kernels
