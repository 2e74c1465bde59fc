// A float matrix as two bf16 ones, x = high + low to 16 bits.
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/matmul.h"

namespace lethe::kernels::cuda {

struct Split {
  static constexpr int vector = 4;
  Rows<const float> x;
  Rows<bf16> high, low;

  template <int N>
  __device__ void at(int64_t r, int64_t c) const {
    const auto v = load<N>(row_of(x, r) + c);
    Values<bf16, N> upper, rest;
#pragma unroll
    for (int i = 0; i < N; ++i) {
      upper.at[i] = widen(narrow<bf16>(v.at[i]));
      rest.at[i] = v.at[i] - upper.at[i];
    }
    store(row_of(high, r) + c, upper, Write::overwrite);
    store(row_of(low, r) + c, rest, Write::overwrite);
  }
};

// The two parts of x.
struct TwoParts {
  Rows<bf16> high, low;
};
inline Rows<const bf16> readable(Rows<bf16> x) {
  return {x.data, x.rows, x.width, x.pitch};
}

// Lays them at the workspace's start, which then begins behind them.
inline TwoParts place_parts(Rows<const float> x, void*& workspace, int64_t& workspace_bytes) {
  const int64_t bytes = matmul_split_bytes(x.rows, x.width), pitch = (x.width + 7) / 8 * 8;
  auto* const start = static_cast<unsigned char*>(workspace);
  workspace = start + bytes;
  workspace_bytes -= bytes;
  return {{reinterpret_cast<bf16*>(start), x.rows, x.width, pitch},
          {reinterpret_cast<bf16*>(start + bytes / 2), x.rows, x.width, pitch}};
}

inline void split(Rows<const float> x, const TwoParts& parts, Stream stream) {
  for_elements(
      stream,
      [](auto in, auto upper, auto rest) {
        return Split{in, upper, rest};
      },
      x, parts.high, parts.low);
}

}  // namespace lethe::kernels::cuda
