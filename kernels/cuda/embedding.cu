// Rows of a table, and the way back without atomic sums: a token is a leader if no earlier one has its id; a
// leader's block finds the later ones in order and adds them up in registers, so a table's row is written
// once and its bits never vary. A block takes a slice of columns; frequent ids are spread over the slices.
#include "kernels/cuda/elements.cuh"
#include "kernels/embedding.h"
#include "kernels/fill.h"

namespace lethe::kernels::cuda {
namespace {

template <class Table, class Y>
struct Embedding {
  static constexpr int vector = kVector<Table, Y>;
  Rows<const Table> table;
  const int32_t* ids;
  Rows<Y> y;

  template <int N>
  __device__ void at(int64_t r, int64_t c) const {
    const auto in = load<N>(row_of(table, ids[r]) + c);
    Values<Y, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = in.at[i];
    store(row_of(y, r) + c, out, Write::overwrite);
  }
};

constexpr int kThreads = 128;
constexpr int kColumnsEach = 4;
constexpr int kSlice = kThreads * kColumnsEach;  // columns of a block, strided over its threads

// Whether an earlier token has this id; all threads of the block look.
__device__ bool has_earlier(const int32_t* ids, int64_t token) {
  const int32_t id = ids[token];
  for (int64_t end = token; end > 0; end -= kThreads) {
    const int64_t j = end - 1 - static_cast<int64_t>(threadIdx.x);
    if (__syncthreads_or(j >= 0 && ids[j] == id)) return true;
  }
  return false;
}

template <class DY, class DTable>
__global__ void __launch_bounds__(kThreads)
    sum_of_id(Rows<const DY> dy, const int32_t* ids, int32_t padding_id, Rows<DTable> dtable) {
  using C = compute_t<DTable>;
  __shared__ int32_t found[kThreads];
  __shared__ int warp_count[kThreads / 32];
  const int64_t token = blockIdx.x, first_column = static_cast<int64_t>(blockIdx.y) * kSlice + threadIdx.x;
  const int32_t id = ids[token];
  if (id == padding_id || has_earlier(ids, token)) return;
  DTable* to = row_of(dtable, id);
  C sum[kColumnsEach];
  for (int k = 0; k < kColumnsEach; ++k) {
    const int64_t c = first_column + k * kThreads;
    sum[k] = c < dtable.width ? widen(to[c]) : C(0);
  }
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  for (int64_t begin = token; begin < dy.rows; begin += kThreads) {
    const int64_t j = begin + static_cast<int64_t>(threadIdx.x);
    const bool mine = j < dy.rows && ids[j] == id;
    const unsigned votes = __ballot_sync(0xffffffffu, mine);
    if (lane == 0) warp_count[warp] = __popc(votes);
    __syncthreads();
    int before = 0, count = 0;
    for (int w = 0; w < kThreads / 32; ++w) {
      if (w < warp) before += warp_count[w];
      count += warp_count[w];
    }
    if (mine) found[before + __popc(votes & ((1u << lane) - 1))] = static_cast<int32_t>(j - begin);
    __syncthreads();
    for (int f = 0; f < count; ++f) {
      const DY* from = row_of(dy, begin + found[f]);
#pragma unroll
      for (int k = 0; k < kColumnsEach; ++k) {
        const int64_t c = first_column + k * kThreads;
        if (c < dtable.width) sum[k] += static_cast<C>(widen(from[c]));
      }
    }
    __syncthreads();
  }
  for (int k = 0; k < kColumnsEach; ++k) {
    const int64_t c = first_column + k * kThreads;
    if (c < dtable.width) to[c] = narrow<DTable>(sum[k]);
  }
}

}  // namespace

template <class Table, class Y>
void embedding(Rows<const Table> table, const int32_t* ids, Rows<Y> y, Stream stream) {
  const Embedding<Table, Y> body{table, ids, y};
  constexpr int N = Embedding<Table, Y>::vector;
  if (y.width % N == 0 && aligned(table) && aligned(y))
    return launch_elements<N>(y.rows, y.width, body, stream);
  launch_elements<1>(y.rows, y.width, body, stream);
}

template <class DY, class DTable>
void embedding_backward(Rows<const DY> dy, const int32_t* ids, int32_t padding_id, Rows<DTable> dtable,
                        Write write, Stream stream) {
  if (write == Write::overwrite) fill<DTable>(dtable, 0, stream);
  if (dy.rows == 0 || dtable.width == 0) return;
  const dim3 grid(static_cast<unsigned>(dy.rows),
                  static_cast<unsigned>((dtable.width + kSlice - 1) / kSlice));
  sum_of_id<<<grid, kThreads, 0, native(stream)>>>(dy, ids, padding_id, dtable);
}

#define LETHE_EMBEDDING(X, Y)                                                    \
  template void embedding<X, Y>(Rows<const X>, const int32_t*, Rows<Y>, Stream); \
  template void embedding_backward<X, Y>(Rows<const X>, const int32_t*, int32_t, Rows<Y>, Write, Stream);
LETHE_EMBEDDING(double, double)
LETHE_EMBEDDING(float, float)
LETHE_EMBEDDING(float, bf16)
LETHE_EMBEDDING(bf16, float)
LETHE_EMBEDDING(bf16, bf16)
#undef LETHE_EMBEDDING

}  // namespace lethe::kernels::cuda
