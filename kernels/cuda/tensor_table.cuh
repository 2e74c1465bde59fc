// One launch over many tensors. Their pointers and sizes go to the kernel as its parameters, of which a
// launch may have 32764 bytes, so nothing is uploaded and the launch can be captured. Each tensor is cut into
// chunks; a block finds the tensor of its chunk by bisection.
//
// An Entry is what a kernel knows of one tensor: pointers and an Extent named `extent`.
#pragma once

#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {

constexpr int64_t kChunk = 16384;  // elements
constexpr int kTableThreads = 256;

// A tensor's elements, counted row by row with the gaps left out.
struct Extent {
  uint32_t rows, width;
  bool dense;  // no gaps
  bool wide;   // N neighbours may be loaded at once wherever the first one's number is a multiple of N

  __host__ __device__ int64_t elements() const { return static_cast<int64_t>(rows) * width; }
};

template <int N, class... T>
Extent extent_of(const Rows<T>&... x) {
  // A matrix that an operation has not got does not count.
  int64_t rows = 0, width = 0;
  const auto measure = [&](const auto& one) {
    if (one.data) rows = one.rows, width = one.width;
  };
  (measure(x), ...);
  const bool dense = ((!x.data || x.rows <= 1 || x.pitch == x.width) && ...);
  const bool wide =
      ((!x.data || aligned(x) || (dense && reinterpret_cast<uintptr_t>(x.data) % 16 == 0)) && ...);
  return {static_cast<uint32_t>(rows), static_cast<uint32_t>(width), dense,
          wide && (dense || width % N == 0)};
}

template <class Entry>
struct TensorTable {
  static constexpr size_t kOtherBytes = 256;  // what else a kernel may be given
  static constexpr size_t kMost = (32764 - kOtherBytes) / (sizeof(Entry) + sizeof(uint32_t)) - 1;

  uint32_t count, chunks;
  uint32_t first_chunk[kMost];
  Entry entries[kMost];

  void add(const Entry& entry) {
    first_chunk[count] = chunks;
    entries[count] = entry;
    ++count;
    chunks += static_cast<uint32_t>((entry.extent.elements() + kChunk - 1) / kChunk);
  }
};

// launch(table) for all tensors, as many at a time as a table holds; entry_of(tensor) makes the entries.
template <class Entry, class Tensors, class EntryOf, class Launch>
void for_tables(const Tensors& tensors, const EntryOf& entry_of, const Launch& launch) {
  TensorTable<Entry> table;
  table.count = table.chunks = 0;
  for (const auto& tensor : tensors) {
    const Entry entry = entry_of(tensor);
    if (entry.extent.elements() == 0) continue;
    table.add(entry);
    if (table.count < TensorTable<Entry>::kMost) continue;
    launch(table);
    table.count = table.chunks = 0;
  }
  if (table.count > 0) launch(table);
}

// Whose chunk it is.
template <class Entry>
__device__ inline uint32_t tensor_of(const TensorTable<Entry>& table, uint32_t chunk) {
  uint32_t low = 0, high = table.count;
  while (high - low > 1) {
    const uint32_t middle = (low + high) / 2;
    if (table.first_chunk[middle] <= chunk) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

struct Place {
  int64_t row, column;
};
// Of an element. A dense matrix is one long row.
__device__ inline Place place_of(const Extent& x, int64_t element) {
  if (x.dense) return {0, element};
  if (x.elements() <= UINT32_MAX) {
    const uint32_t row = static_cast<uint32_t>(element) / x.width;
    return {row, static_cast<uint32_t>(element) - row * x.width};
  }
  return {element / x.width, element % x.width};
}

// body.at<K>(place, element) for the elements of a tensor's chunk: K is N wherever that many may be taken at
// once, else 1. kUnroll: how many of them may be in flight.
template <int N, int kUnroll, class Body>
__device__ inline void for_chunk(const Extent& x, uint32_t chunk, Body& body) {
  const int64_t begin = chunk * kChunk, end = min(begin + kChunk, x.elements());
  const int64_t wide_end = x.wide ? end - (end - begin) % N : begin;
#pragma unroll kUnroll
  for (int64_t i = begin + threadIdx.x * N; i < wide_end; i += kTableThreads * N) {
    body.template at<N>(place_of(x, i), i);
  }
#pragma unroll 1
  for (int64_t i = wide_end + threadIdx.x; i < end; i += kTableThreads) {
    body.template at<1>(place_of(x, i), i);
  }
}

}  // namespace lethe::kernels::cuda
