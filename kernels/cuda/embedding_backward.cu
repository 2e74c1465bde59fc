// The sum of gradients for each row of the table, without atomic sums: tokens are sorted by id and position,
// and neighbours with one id are added up in that order. The sorted list is cut into chunks, so that a
// frequent id is the work of many blocks; what crosses a chunk's end is left as a partial sum and joined by a
// second kernel.
#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/embedding.h"
#include "kernels/fill.h"

namespace lethe::kernels::cuda {
namespace {

// ---- sorting: a token is its id above its position; all differ, so any sort gives one order
using Key = unsigned long long;
constexpr int kTile = 2048, kSortThreads = kTile / 2;
constexpr uint32_t kNoId = 0xffffffffu;  // of padding tokens: they come last

__device__ uint32_t id_of(Key key) {
  return static_cast<uint32_t>(key >> 32);
}
__device__ int position_of(Key key) {
  return static_cast<int>(key & 0x7fffffffu);
}

// Bitonic, in shared memory: a thread for each pair.
__global__ void __launch_bounds__(kSortThreads)
    sort_tiles(const int32_t* ids, int count, int32_t padding_id, Key* sorted) {
  __shared__ Key key[kTile];
  const int thread = static_cast<int>(threadIdx.x), base = static_cast<int>(blockIdx.x) * kTile;
  for (int i = thread; i < kTile; i += kSortThreads) {
    const int position = base + i;
    key[i] = ~Key{0};
    if (position >= count) continue;
    const int32_t id = ids[position];
    key[i] = Key{id == padding_id ? kNoId : static_cast<uint32_t>(id)} << 32 | static_cast<Key>(position);
  }
  for (int size = 2; size <= kTile; size *= 2) {
    for (int stride = size / 2; stride > 0; stride /= 2) {
      __syncthreads();
      const int low = 2 * thread - (thread & (stride - 1)), high = low + stride;
      const bool ascending = (low & size) == 0;
      const Key a = key[low], b = key[high];
      if ((a > b) == ascending) {
        key[low] = b;
        key[high] = a;
      }
    }
  }
  __syncthreads();
  for (int i = thread; i < kTile && base + i < count; i += kSortThreads) sorted[base + i] = key[i];
}

// How many of keys [begin, end) are less than this one.
__device__ int count_below(const Key* keys, int begin, int end, Key key) {
  const int start = begin;
  while (begin < end) {
    const int middle = begin + (end - begin) / 2;
    if (keys[middle] < key) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin - start;
}

// Merges sorted runs of 2^run_bits in pairs: a key goes as far behind its place as the other run has less.
__global__ void merge_runs(const Key* from, int count, int run_bits, Key* to) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= count) return;
  const int64_t run = i >> run_bits, length = int64_t{1} << run_bits;
  const auto other = static_cast<int>(min((run ^ 1) * length, static_cast<int64_t>(count)));
  const auto other_end = static_cast<int>(min((run ^ 1) * length + length, static_cast<int64_t>(count)));
  const auto own = static_cast<int>(i - run * length), pair = static_cast<int>((run & ~int64_t{1}) * length);
  to[pair + own + count_below(from, other, other_end, from[i])] = from[i];
}

// ---- summing
constexpr int kMostThreads = 128;
constexpr int kChunk = static_cast<int>(kEmbeddingChunk);
constexpr int kAtOnce = 4;  // rows whose loads are in flight together

// Where the partial sums lie: of what began before the chunk, and of what goes on behind it.
template <class C>
struct Partials {
  C* data;
  int64_t width;
  __device__ C* head(int64_t chunk) const { return data + 2 * chunk * width; }
  __device__ C* tail(int64_t chunk) const { return data + (2 * chunk + 1) * width; }
};

template <class T, int N>
__device__ Values<T, N> for_storage(const Values<compute_t<T>, N>& sum) {
  Values<T, N> values;
#pragma unroll
  for (int n = 0; n < N; ++n) values.at[n] = sum.at[n];
  return values;
}

template <class DY, class DTable, int N>
__global__ void __launch_bounds__(kMostThreads)
    sum_chunks(Rows<const DY> dy, const Key* keys, Rows<DTable> dtable, Write write,
               Partials<compute_t<DTable>> partials) {
  using C = compute_t<DTable>;
  const int count = static_cast<int>(dy.rows), begin = static_cast<int>(blockIdx.x) * kChunk;
  const int end = min(count, begin + kChunk);
  const int64_t column = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * N;
  if (column >= dy.width) return;
  Values<C, N> sum{};
  bool whole = begin == 0 || id_of(keys[begin - 1]) != id_of(keys[begin]);
  for (int first = begin; first < end; first += kAtOnce) {
    Pack<DY, N> rows[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k)
      if (first + k < end) rows[k] = load_pack<N>(row_of(dy, position_of(keys[first + k])) + column);
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int i = first + k;
      if (i >= end) break;
      const uint32_t id = id_of(keys[i]);
      if (id == kNoId) return;
      const auto row = widen(rows[k]);
#pragma unroll
      for (int n = 0; n < N; ++n) sum.at[n] += static_cast<C>(row.at[n]);
      if (i + 1 < count && id_of(keys[i + 1]) == id) continue;
      if (whole) {
        store(row_of(dtable, id) + column, for_storage<DTable>(sum), write);
      } else {
        store(partials.head(blockIdx.x) + column, sum, Write::overwrite);
      }
      sum = {};
      whole = true;
    }
  }
  if (end < count && id_of(keys[end - 1]) == id_of(keys[end]))
    store(partials.tail(blockIdx.x) + column, sum, Write::overwrite);
}

// The block of the chunk in which an id ends that began in an earlier one.
template <class DTable, int N>
__global__ void __launch_bounds__(kMostThreads)
    join_chunks(const Key* keys, int count, Rows<DTable> dtable, Write write,
                Partials<compute_t<DTable>> partials) {
  using C = compute_t<DTable>;
  const int begin = static_cast<int>(blockIdx.x) * kChunk, end = min(count, begin + kChunk);
  const uint32_t id = id_of(keys[begin]);
  if (id == kNoId || begin == 0 || id_of(keys[begin - 1]) != id) return;
  if (end < count && id_of(keys[end]) == id) return;
  const int64_t column = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * N;
  if (column >= dtable.width) return;
  const int64_t first = count_below(keys, 0, begin, Key{id} << 32) / kChunk;
  Values<C, N> sum{};
#pragma unroll 4
  for (int64_t chunk = first; chunk <= blockIdx.x; ++chunk) {
    const bool last = chunk == blockIdx.x;
    const auto part = load<N>((last ? partials.head(chunk) : partials.tail(chunk)) + column);
#pragma unroll
    for (int n = 0; n < N; ++n) sum.at[n] += part.at[n];
  }
  store(row_of(dtable, id) + column, for_storage<DTable>(sum), write);
}

template <int N, class DY, class DTable>
void add_up(Rows<const DY> dy, const Key* keys, Rows<DTable> dtable, Write write,
            compute_t<DTable>* workspace, Stream stream) {
  const Partials<compute_t<DTable>> partials{workspace, dy.width};
  const int threads = threads_for((dy.width + N - 1) / N, kMostThreads);
  const int64_t slice = static_cast<int64_t>(threads) * N;
  const dim3 grid(static_cast<unsigned>(embedding_chunks(dy.rows)),
                  static_cast<unsigned>((dy.width + slice - 1) / slice));
  sum_chunks<DY, DTable, N><<<grid, threads, 0, native(stream)>>>(dy, keys, dtable, write, partials);
  join_chunks<DTable, N>
      <<<grid, threads, 0, native(stream)>>>(keys, static_cast<int>(dy.rows), dtable, write, partials);
}

}  // namespace

template <class DY, class DTable>
void embedding_backward(Rows<const DY> dy, const int32_t* ids, int32_t padding_id, Rows<DTable> dtable,
                        Write write, void* workspace, Stream stream) {
  if (write == Write::overwrite) fill<DTable>(dtable, 0, stream);
  if (dy.rows == 0 || dtable.width == 0) return;
  const auto count = static_cast<int>(dy.rows);
  auto *keys = static_cast<Key*>(workspace), *other = keys + count;
  auto* const partials = reinterpret_cast<compute_t<DTable>*>(other + count);
  const auto tiles = static_cast<unsigned>((count + kTile - 1) / kTile);
  sort_tiles<<<tiles, kSortThreads, 0, native(stream)>>>(ids, count, padding_id, keys);
  static_assert(kTile == 1 << 11);
  for (int run_bits = 11; (int64_t{1} << run_bits) < count; ++run_bits) {
    merge_runs<<<static_cast<unsigned>((count + 255) / 256), 256, 0, native(stream)>>>(keys, count, run_bits,
                                                                                       other);
    std::swap(keys, other);
  }
  constexpr int N = kVector<DY, DTable>;
  if (dy.width % N == 0 && aligned(dy) && aligned(dtable))
    return add_up<N>(dy, keys, dtable, write, partials, stream);
  add_up<1>(dy, keys, dtable, write, partials, stream);
}

#define LETHE_EMBEDDING(X, Y)                                                                           \
  template void embedding_backward<X, Y>(Rows<const X>, const int32_t*, int32_t, Rows<Y>, Write, void*, \
                                         Stream);
LETHE_EMBEDDING(double, double)
LETHE_EMBEDDING(float, float)
LETHE_EMBEDDING(float, bf16)
LETHE_EMBEDDING(bf16, float)
LETHE_EMBEDDING(bf16, bf16)
#undef LETHE_EMBEDDING

}  // namespace lethe::kernels::cuda
