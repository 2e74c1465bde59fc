// Sums of squares over many tensors. A block takes every n-th chunk, n the number of blocks, and adds its
// squares in double; a last block adds what they found.
#include "kernels/cuda/tensor_table.cuh"
#include "kernels/gradient_norm.h"

namespace lethe::kernels::cuda {
namespace {

constexpr uint32_t kMostBlocks = kSquarePartials;
constexpr int kFinishThreads = 1024;

struct NormEntry {
  const void* data;
  Extent extent;
  uint32_t pitch;
};
static_assert(TensorTable<NormEntry>::kMost >= 512, "norm_partials counts on it");

template <class T>
struct SquaresOfChunk {
  const NormEntry& t;
  double sum = 0;

  template <int N>
  __device__ void at(const Place& place, int64_t) {
    const auto x = load<N>(static_cast<const T*>(t.data) + place.row * t.pitch + place.column);
#pragma unroll
    for (int i = 0; i < N; ++i) sum += static_cast<double>(x.at[i]) * static_cast<double>(x.at[i]);
  }
};

template <class T>
__global__ void __launch_bounds__(kTableThreads)
    squares_kernel(const __grid_constant__ TensorTable<NormEntry> table, double* partials) {
  __shared__ double shared[32];
  double sum = 0;
  for (uint32_t c = blockIdx.x; c < table.chunks; c += gridDim.x) {
    const uint32_t tensor = tensor_of(table, c);
    const NormEntry& entry = table.entries[tensor];
    SquaresOfChunk<T> chunk{entry};
    for_chunk<kVector<T>, 4>(entry.extent, c - table.first_chunk[tensor], chunk);
    sum += chunk.sum;
  }
  sum = block_reduce(sum, Plus{}, shared);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

__device__ double sum_of(const double* partials, int64_t count) {
  __shared__ double shared[32];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kFinishThreads) sum += partials[i];
  return block_reduce(sum, Plus{}, shared);
}

__global__ void __launch_bounds__(kFinishThreads)
    sum_kernel(const double* partials, int64_t count, double* sum) {
  const double found = sum_of(partials, count);
  if (threadIdx.x == 0) *sum = found;
}

__global__ void __launch_bounds__(kFinishThreads)
    finish_kernel(const double* partials, int64_t count, const double* loss, double max_norm, double* norm,
                  double* scale, int64_t* halted) {
  const double sum = sum_of(partials, count);
  if (threadIdx.x == 0) kernels::finish_norm(sum, *loss, max_norm, norm, scale, halted);
}

}  // namespace

template <class T>
int64_t sums_of_squares(std::span<const Rows<const T>> tensors, double* partials, Stream stream) {
  int64_t written = 0;
  for_tables<NormEntry>(
      tensors,
      [](const Rows<const T>& x) {
        return NormEntry{x.data, extent_of<kVector<T>>(x), static_cast<uint32_t>(x.pitch)};
      },
      [&](const TensorTable<NormEntry>& table) {
        const uint32_t blocks = std::min(table.chunks, kMostBlocks);
        squares_kernel<T><<<blocks, kTableThreads, 0, native(stream)>>>(table, partials + written);
        written += blocks;
      });
  return written;
}

template <class T>
void sum_of_squares(Rows<const T> x, double* partials, double* sum, Stream stream) {
  const int64_t count = sums_of_squares<T>({&x, 1}, partials, stream);
  sum_kernel<<<1, kFinishThreads, 0, native(stream)>>>(partials, count, sum);
}

void clear_sums(double* sums, int64_t count, Stream stream) {
  cudaMemsetAsync(sums, 0, static_cast<size_t>(count) * sizeof *sums, native(stream));
}

void finish_norm(const double* partials, int64_t count, const double* loss, double max_norm, double* norm,
                 double* scale, int64_t* halted, Stream stream) {
  finish_kernel<<<1, kFinishThreads, 0, native(stream)>>>(partials, count, loss, max_norm, norm, scale,
                                                          halted);
}

template int64_t sums_of_squares<double>(std::span<const Rows<const double>>, double*, Stream);
template int64_t sums_of_squares<float>(std::span<const Rows<const float>>, double*, Stream);
template int64_t sums_of_squares<bf16>(std::span<const Rows<const bf16>>, double*, Stream);
template void sum_of_squares<double>(Rows<const double>, double*, double*, Stream);
template void sum_of_squares<float>(Rows<const float>, double*, double*, Stream);
template void sum_of_squares<bf16>(Rows<const bf16>, double*, double*, Stream);

}  // namespace lethe::kernels::cuda
