// Element-wise kernels: a body says what happens to N neighbouring elements, and this file gives each thread
// its pieces of N: 16 bytes where rows are aligned and wide enough, else 1. Dense matrices are one long row.
//
// A body has  static constexpr int vector;  and either
//   template <int N> __device__ auto value(row, column) const;            reads and computes
//   template <int N> __device__ void put(row, column, value) const;       writes
// of which a thread calls the first for all its pieces before the second for any, so that their loads are in
// flight together even where an output may be an input; or, for pieces one after the other,
//   template <int N> __device__ void at(row, column) const.
#pragma once

#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {

constexpr int kElementThreads = 256;
constexpr int kElementPieces = 2;  // of a thread

template <int N, class Body>
__global__ void __launch_bounds__(kElementThreads) elements_kernel(int64_t rows, int64_t width, Body body) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kElementPieces * blockDim.x + threadIdx.x) * N;
  const int step = static_cast<int>(blockDim.x) * N;
  const int64_t row_step = static_cast<int64_t>(gridDim.y) * blockDim.y;
  for (int64_t r = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y; r < rows; r += row_step) {
    if constexpr (requires { body.template value<N>(r, first); }) {
      decltype(body.template value<N>(r, first)) values[kElementPieces];
#pragma unroll
      for (int k = 0; k < kElementPieces; ++k)
        if (first + k * step < width) values[k] = body.template value<N>(r, first + k * step);
#pragma unroll
      for (int k = 0; k < kElementPieces; ++k)
        if (first + k * step < width) body.template put<N>(r, first + k * step, values[k]);
    } else {
#pragma unroll
      for (int k = 0; k < kElementPieces; ++k)
        if (first + k * step < width) body.template at<N>(r, first + k * step);
    }
  }
}

template <int N, class Body>
void launch_elements(int64_t rows, int64_t width, const Body& body, Stream stream) {
  if (rows == 0 || width == 0) return;
  const int64_t pieces = (width + N - 1) / N;
  unsigned across = 1;
  while (across < kElementThreads && across < pieces) across *= 2;
  const unsigned down = kElementThreads / across;
  const int64_t at_once = static_cast<int64_t>(across) * kElementPieces;
  const dim3 grid(static_cast<unsigned>((pieces + at_once - 1) / at_once),
                  static_cast<unsigned>(std::min<int64_t>((rows + down - 1) / down, 65535)));
  elements_kernel<N><<<grid, dim3(across, down), 0, native(stream)>>>(rows, width, body);
}

// Runs the body that make(matrices...) builds, on the matrices as they are or each as one long row.
template <class Make, class... T>
void for_elements(Stream stream, const Make& make, Rows<T>... x) {
  const bool dense = ((x.pitch == x.width) && ...);
  const auto flat = [&](auto rows) {
    if (dense) rows = {rows.data, 1, rows.rows * rows.width, rows.rows * rows.width};
    return rows;
  };
  const auto run = [&](auto first, auto... rest) {
    const auto body = make(first, rest...);
    using Body = std::remove_const_t<decltype(body)>;
    const bool wide = first.width % Body::vector == 0 && (aligned(first) && ... && aligned(rest));
    if (wide) return launch_elements<Body::vector>(first.rows, first.width, body, stream);
    launch_elements<1>(first.rows, first.width, body, stream);
  };
  run(flat(x)...);
}

}  // namespace lethe::kernels::cuda
