// One block: each thread counts the document starts in its part of the tokens, the counts are summed in
// thread order, and each thread writes its own starts from there on.
#include "kernels/attention_documents.h"
#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {
namespace {

constexpr int kThreads = 1024, kWarp = 32;

// DocumentTables with their memory, and the pitches.
struct Tables {
  int32_t *lengths, *starts, *offsets;
  int64_t stride;
  int capacity;
  int64_t pitches[DocumentTables::kOffsets];
};

// The sum of the earlier threads' values; *total that of all.
__device__ int sum_before(int value, int* total) {
  __shared__ int warps[kThreads / kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  int sum = value;
  for (int step = 1; step < kWarp; step *= 2) {
    const int earlier = __shfl_up_sync(0xffffffffu, sum, step);
    if (lane >= step) sum += earlier;
  }
  if (lane == kWarp - 1) warps[warp] = sum;
  __syncthreads();
  int before = 0, all = 0;
  for (int w = 0; w < kThreads / kWarp; ++w) {
    if (w < warp) before += warps[w];
    all += warps[w];
  }
  *total = all;
  return before + sum - value;
}

__global__ void __launch_bounds__(kThreads)
    find_documents(int tokens, int rows, const int32_t* document_start, Tables tables) {
  const int all = tokens * rows, each = (all + kThreads - 1) / kThreads;
  const int begin = min(static_cast<int>(threadIdx.x) * each, all), end = min(begin + each, all);
  int found = 0;
  for (int i = begin; i < end; ++i) found += document_start[i] == i % tokens;
  int total = 0;
  int next = sum_before(found, &total);
  const int capacity = tables.capacity, count = min(total, capacity);
  int32_t* const starts = tables.starts;
  for (int i = begin; i < end; ++i) {
    if (document_start[i] == i % tokens && next < capacity) starts[next] = i;
    next += document_start[i] == i % tokens;
  }
  for (int d = count + static_cast<int>(threadIdx.x); d <= capacity; d += kThreads) starts[d] = all;
  __syncthreads();
  for (int d = static_cast<int>(threadIdx.x); d <= capacity; d += kThreads) {
    const int start = starts[d];
    if (d < capacity) tables.lengths[d] = starts[d + 1] - start;
    for (int o = 0; o < DocumentTables::kOffsets; ++o) {
      tables.offsets[o * tables.stride + d] = static_cast<int32_t>(start * tables.pitches[o]);
    }
  }
}

__global__ void fill_lengths(int rows, int tokens, int32_t* lengths) {
  for (int r = static_cast<int>(threadIdx.x); r < rows; r += static_cast<int>(blockDim.x))
    lengths[r] = tokens;
}

}  // namespace

void document_tables(const AttentionShape& shape, const int32_t* document_start,
                     const std::array<int64_t, DocumentTables::kOffsets>& pitches, void* memory,
                     Stream stream) {
  const DocumentTables places{shape.documents};
  Tables tables{places.lengths(memory),
                places.starts(memory),
                places.offsets(memory, 0),
                places.stride(),
                static_cast<int>(shape.documents),
                {}};
  std::copy(pitches.begin(), pitches.end(), tables.pitches);
  find_documents<<<1, kThreads, 0, native(stream)>>>(static_cast<int>(shape.tokens),
                                                     static_cast<int>(shape.batch), document_start, tables);
}

void row_tables(const AttentionShape& shape, void* memory, Stream stream) {
  fill_lengths<<<1, 256, 0, native(stream)>>>(static_cast<int>(shape.batch), static_cast<int>(shape.tokens),
                                              DocumentTables{shape.batch}.lengths(memory));
}

}  // namespace lethe::kernels::cuda
