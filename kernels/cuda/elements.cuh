// Element-wise kernels: a body says what happens to N neighbouring elements, and this file gives each thread
// its N: 16 bytes where rows are aligned and wide enough, else 1. Dense matrices are one long row.
//
// A body has  static constexpr int vector;  and  template <int N> __device__ void at(row, column) const.
#pragma once

#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {

template <int N, class Body>
__global__ void elements_kernel(int64_t rows, int64_t width, Body body) {
  const int64_t column_step = static_cast<int64_t>(gridDim.x) * blockDim.x * N;
  const int64_t row_step = static_cast<int64_t>(gridDim.y) * blockDim.y;
  for (int64_t r = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y; r < rows; r += row_step) {
    for (int64_t c = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * N; c < width;
         c += column_step) {
      body.template at<N>(r, c);
    }
  }
}

template <int N, class Body>
void launch_elements(int64_t rows, int64_t width, const Body& body, Stream stream) {
  if (rows == 0 || width == 0) return;
  constexpr unsigned kThreads = 256;
  const int64_t pieces = (width + N - 1) / N;
  unsigned across = 1;
  while (across < kThreads && across < pieces) across *= 2;
  const unsigned down = kThreads / across;
  const dim3 grid(static_cast<unsigned>(std::min<int64_t>((pieces + across - 1) / across, 1 << 30)),
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
