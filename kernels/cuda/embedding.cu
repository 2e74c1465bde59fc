// Rows of a table: one element-wise pass.
#include "kernels/cuda/elements.cuh"
#include "kernels/embedding.h"

namespace lethe::kernels::cuda {
namespace {

template <class Table, class Y>
struct Embedding {
  static constexpr int vector = kVector<Table, Y>;
  Rows<const Table> table;
  const int32_t* ids;
  Rows<Y> y;

  template <int N>
  __device__ Values<Y, N> value(int64_t r, int64_t c) const {
    const auto in = load<N>(row_of(table, ids[r]) + c);
    Values<Y, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = in.at[i];
    return out;
  }
  template <int N>
  __device__ void put(int64_t r, int64_t c, const Values<Y, N>& out) const {
    store(row_of(y, r) + c, out, Write::overwrite);
  }
};

}  // namespace

template <class Table, class Y>
void embedding(Rows<const Table> table, const int32_t* ids, Rows<Y> y, Stream stream) {
  const Embedding<Table, Y> body{table, ids, y};
  constexpr int N = Embedding<Table, Y>::vector;
  if (y.width % N == 0 && aligned(table) && aligned(y))
    return launch_elements<N>(y.rows, y.width, body, stream);
  launch_elements<1>(y.rows, y.width, body, stream);
}

#define LETHE_EMBEDDING(X, Y) template void embedding<X, Y>(Rows<const X>, const int32_t*, Rows<Y>, Stream);
LETHE_EMBEDDING(double, double)
LETHE_EMBEDDING(float, float)
LETHE_EMBEDDING(float, bf16)
LETHE_EMBEDDING(bf16, float)
LETHE_EMBEDDING(bf16, bf16)
#undef LETHE_EMBEDDING

}  // namespace lethe::kernels::cuda
