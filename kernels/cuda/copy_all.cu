// Many copies in one launch: a block copies a chunk, 16 bytes of the narrower type a thread.
#include "kernels/copy.h"
#include "kernels/cuda/tensor_table.cuh"

namespace lethe::kernels::cuda {
namespace {

struct CopyEntry {
  const void* from;
  void* to;
  Extent extent;
  uint32_t from_pitch, to_pitch;
};

template <class X, class Y>
struct CopyChunk {
  const CopyEntry& t;

  template <int N>
  __device__ void at(const Place& place, int64_t) {
    const auto x = load<N>(static_cast<const X*>(t.from) + place.row * t.from_pitch + place.column);
    Values<Y, N> y;
#pragma unroll
    for (int i = 0; i < N; ++i) y.at[i] = x.at[i];
    store(static_cast<Y*>(t.to) + place.row * t.to_pitch + place.column, y, Write::overwrite);
  }
};

template <class X, class Y>
__global__ void __launch_bounds__(kTableThreads)
    copy_all_kernel(const __grid_constant__ TensorTable<CopyEntry> table) {
  const uint32_t tensor = tensor_of(table, blockIdx.x);
  const CopyEntry& entry = table.entries[tensor];
  CopyChunk<X, Y> chunk{entry};
  for_chunk<kVector<X, Y>, 2>(entry.extent, blockIdx.x - table.first_chunk[tensor], chunk);
}

}  // namespace

template <class X, class Y>
void copy_all(std::span<const CopyPair<X, Y>> pairs, Stream stream) {
  for_tables<CopyEntry>(
      pairs,
      [](const CopyPair<X, Y>& p) {
        return CopyEntry{p.from.data, p.to.data, extent_of<kVector<X, Y>>(p.from, p.to),
                         static_cast<uint32_t>(p.from.pitch), static_cast<uint32_t>(p.to.pitch)};
      },
      [&](const TensorTable<CopyEntry>& table) {
        copy_all_kernel<X, Y><<<table.chunks, kTableThreads, 0, native(stream)>>>(table);
      });
}

template void copy_all<double, double>(std::span<const CopyPair<double, double>>, Stream);
template void copy_all<float, float>(std::span<const CopyPair<float, float>>, Stream);
template void copy_all<float, bf16>(std::span<const CopyPair<float, bf16>>, Stream);
template void copy_all<bf16, bf16>(std::span<const CopyPair<bf16, bf16>>, Stream);

}  // namespace lethe::kernels::cuda
