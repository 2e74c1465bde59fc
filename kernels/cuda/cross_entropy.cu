// One block a row. Forward reads the logits once: each thread keeps a running maximum and the sum of
// exponentials below it, and the pairs are joined in a fixed order. Backward is one pass that may write where
// it read. Training does both in one launch, over the logits, from registers where a row fits there
// (cross_entropy_on_chip.cu). Rows without a label are left before they are read.
#include "kernels/cross_entropy.h"
#include "kernels/cuda/best.cuh"
#include "kernels/cuda/cross_entropy_on_chip.cuh"
#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {
namespace {

constexpr int kMostThreads = 1024;

// Threads for a row. A wide row takes so many that a multiprocessor holds one of them: the rows being worked
// on, which are read twice, then stay in the second-level cache together (132 of 256 KiB in 50 MiB).
template <class T>
int threads_of(int64_t width, int N) {
  const bool is_wide = width * static_cast<int64_t>(sizeof(T)) > 96 * 1024;
  return threads_for(width / N, is_wide ? kMostThreads : 512);
}
constexpr int kPacks = 4;  // of a thread whose loads are in flight together

// log sum exp as a running pair: sum of exp(x - most).
template <class C>
struct Softmax {
  C most, sum;

  __device__ Softmax join(const Softmax& other) const {
    const C top = most > other.most ? most : other.most;
    if (top == -CUDART_INF) return *this;
    return {top, sum * exponential(most - top) + other.sum * exponential(other.most - top)};
  }
};

template <class C>
__device__ Softmax<C> join_block(Softmax<C> mine, Softmax<C>* shared) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    mine = mine.join(
        {__shfl_xor_sync(0xffffffffu, mine.most, step), __shfl_xor_sync(0xffffffffu, mine.sum, step)});
  }
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = mine;
  __syncthreads();
  Softmax<C> all = shared[0];
  for (unsigned w = 1; w < blockDim.x / 32; ++w) all = all.join(shared[w]);
  return all;
}

// The block's pair for a row. Logits beside the row's end count as minus infinity.
template <int N, class T>
__device__ Softmax<compute_t<T>> softmax_of(const T* x, int width, Softmax<compute_t<T>>* shared) {
  using C = compute_t<T>;
  const int step = static_cast<int>(blockDim.x) * N;
  Softmax<C> mine{-static_cast<C>(CUDART_INF), 0};
  for (int first = static_cast<int>(threadIdx.x) * N; first < width; first += kPacks * step) {
    Pack<T, N> packs[kPacks];
#pragma unroll
    for (int k = 0; k < kPacks; ++k)
      if (first + k * step < width) packs[k] = load_pack<N>(x + first + k * step);
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      if (first + k * step >= width) break;
      const auto v = widen(packs[k]);
      C most = mine.most;
#pragma unroll
      for (int i = 0; i < N; ++i) most = v.at[i] > most ? v.at[i] : most;
      if (most > mine.most) {
        mine.sum *= exponential(mine.most - most);
        mine.most = most;
      }
      // Nothing but minus infinity so far: no difference of it with itself.
      const C base = most == -static_cast<C>(CUDART_INF) ? C(0) : most;
#pragma unroll
      for (int i = 0; i < N; ++i) mine.sum += exponential(v.at[i] - base);
    }
  }
  return join_block(mine, shared);
}

// dx = scale * (exp(x - log_sum) - [the label]); dx may be x: a thread writes where it read.
template <int N, class T>
__device__ void write_gradient(const T* x, int width, int label, compute_t<T> log_sum, compute_t<T> scale,
                               T* dx, Write write) {
  using C = compute_t<T>;
  const int step = static_cast<int>(blockDim.x) * N;
  for (int first = static_cast<int>(threadIdx.x) * N; first < width; first += kPacks * step) {
    Pack<T, N> packs[kPacks];
#pragma unroll
    for (int k = 0; k < kPacks; ++k)
      if (first + k * step < width) packs[k] = load_pack<N>(x + first + k * step);
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
      const int j = first + k * step;
      if (j >= width) break;
      auto out = widen(packs[k]);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        const C p = exponential(out.at[i] - log_sum);
        out.at[i] = scale * (j + i == label ? p - 1 : p);
      }
      store(dx + j, out, write);
    }
  }
}

template <int N, class T>
__device__ void write_zeros(T* dx, int width) {
  for (int j = static_cast<int>(threadIdx.x) * N; j < width; j += static_cast<int>(blockDim.x) * N)
    store(dx + j, Values<T, N>{}, Write::overwrite);
}

template <class T, int N>
__global__ void __launch_bounds__(kMostThreads)
    forward(Rows<const T> logits, const int32_t* labels, compute_t<T>* losses, compute_t<T>* lse) {
  using C = compute_t<T>;
  __shared__ Softmax<C> shared[kMostThreads / 32];
  const int64_t row = blockIdx.x;
  const int32_t label = labels[row];
  if (label == kIgnoredLabel) {
    if (threadIdx.x == 0) losses[row] = lse[row] = 0;
    return;
  }
  const T* x = row_of(logits, row);
  const C at_label = widen(x[label]);
  const Softmax<C> all = softmax_of<N>(x, static_cast<int>(logits.width), shared);
  if (threadIdx.x != 0) return;
  const C log_sum = log(all.sum);
  lse[row] = all.most + log_sum;
  losses[row] = log_sum - (at_label - all.most);
}

template <class T, int N>
__global__ void __launch_bounds__(kMostThreads)
    backward(Rows<const T> logits, const int32_t* labels, const compute_t<T>* lse,
             const compute_t<T>* dlosses, Rows<T> dlogits, Write write) {
  const int64_t row = blockIdx.x;
  const int32_t label = labels[row];
  const auto width = static_cast<int>(logits.width);
  T* const dx = row_of(dlogits, row);
  if (label != kIgnoredLabel)
    return write_gradient<N>(row_of(logits, row), width, label, lse[row], dlosses[row], dx, write);
  if (write == Write::overwrite) write_zeros<N>(dx, width);
}

// Both at once: the row is read again from the second-level cache.
template <class T, int N, class S>
__global__ void __launch_bounds__(kMostThreads)
    forward_backward(Rows<T> logits, const int32_t* labels, const S* seed, compute_t<T>* losses) {
  using C = compute_t<T>;
  __shared__ Softmax<C> shared[kMostThreads / 32];
  const int64_t row = blockIdx.x;
  const int32_t label = labels[row];
  const auto width = static_cast<int>(logits.width);
  T* const x = row_of(logits, row);
  if (label == kIgnoredLabel) {
    if (threadIdx.x == 0) losses[row] = 0;
    return write_zeros<N>(x, width);
  }
  // Before the barrier in softmax_of, behind which another thread overwrites it.
  const C at_label = widen(x[label]), scale = static_cast<C>(*seed);
  const Softmax<C> all = softmax_of<N>(x, width, shared);
  const C log_sum = log(all.sum);
  if (threadIdx.x == 0) losses[row] = log_sum - (at_label - all.most);
  write_gradient<N>(x, width, label, all.most + log_sum, scale, x, Write::overwrite);
}

template <class T>
__global__ void correct(Rows<const T> logits, const int32_t* labels, unsigned long long* total) {
  __shared__ Best<compute_t<T>> shared[kMostThreads / 32];
  const int64_t row = blockIdx.x;
  if (labels[row] == kIgnoredLabel) return;
  const auto best = best_of_row(row_of(logits, row), logits.width, shared);
  // Whole numbers: the order of the rows does not matter.
  if (threadIdx.x == 0 && best.place == labels[row]) atomicAdd(total, 1ull);
}

}  // namespace

template <class T>
void cross_entropy(Rows<const T> logits, const int32_t* labels, compute_t<T>* losses, compute_t<T>* lse,
                   Stream stream) {
  if (logits.rows == 0) return;
  const auto blocks = static_cast<unsigned>(logits.rows);
  constexpr int N = kVector<T>;
  if (logits.width % N == 0 && aligned(logits)) {
    forward<T, N><<<blocks, threads_of<T>(logits.width, N), 0, native(stream)>>>(logits, labels, losses, lse);
  } else {
    forward<T, 1><<<blocks, threads_of<T>(logits.width, 1), 0, native(stream)>>>(logits, labels, losses, lse);
  }
}

template <class T>
void cross_entropy_backward(Rows<const T> logits, const int32_t* labels, const compute_t<T>* lse,
                            const compute_t<T>* dlosses, Rows<T> dlogits, Write write, Stream stream) {
  if (logits.rows == 0) return;
  const auto blocks = static_cast<unsigned>(logits.rows);
  constexpr int N = kVector<T>;
  if (logits.width % N == 0 && aligned(logits) && aligned(dlogits)) {
    backward<T, N><<<blocks, threads_of<T>(logits.width, N), 0, native(stream)>>>(logits, labels, lse,
                                                                                  dlosses, dlogits, write);
  } else {
    backward<T, 1><<<blocks, threads_of<T>(logits.width, 1), 0, native(stream)>>>(logits, labels, lse,
                                                                                  dlosses, dlogits, write);
  }
}

template <class T, class S>
void cross_entropy_training(Rows<T> logits, const int32_t* labels, const S* seed, compute_t<T>* losses,
                            Stream stream) {
  if (logits.rows == 0) return;
  if constexpr (std::is_same_v<T, bf16>) {
    if (cross_entropy_on_chip(logits, labels, seed, losses, stream)) return;
  }
  const auto blocks = static_cast<unsigned>(logits.rows);
  constexpr int N = kVector<T>;
  if (logits.width % N == 0 && aligned(logits)) {
    const int threads = threads_of<T>(logits.width, N);
    forward_backward<T, N, S><<<blocks, threads, 0, native(stream)>>>(logits, labels, seed, losses);
  } else {
    const int threads = threads_of<T>(logits.width, 1);
    forward_backward<T, 1, S><<<blocks, threads, 0, native(stream)>>>(logits, labels, seed, losses);
  }
}

template <class T>
void count_correct(Rows<const T> logits, const int32_t* labels, int64_t* total, Write write, Stream stream) {
  if (write == Write::overwrite) cudaMemsetAsync(total, 0, sizeof *total, native(stream));
  if (logits.rows == 0) return;
  correct<T><<<static_cast<unsigned>(logits.rows), threads_of<T>(logits.width, 1), 0, native(stream)>>>(
      logits, labels, reinterpret_cast<unsigned long long*>(total));
}

#define LETHE_CROSS_ENTROPY(T)                                                                           \
  template void cross_entropy<T>(Rows<const T>, const int32_t*, compute_t<T>*, compute_t<T>*, Stream);   \
  template void cross_entropy_backward<T>(Rows<const T>, const int32_t*, const compute_t<T>*,            \
                                          const compute_t<T>*, Rows<T>, Write, Stream);                  \
  template void cross_entropy_training<T, double>(Rows<T>, const int32_t*, const double*, compute_t<T>*, \
                                                  Stream);                                               \
  template void cross_entropy_training<T, float>(Rows<T>, const int32_t*, const float*, compute_t<T>*,   \
                                                 Stream);                                                \
  template void count_correct<T>(Rows<const T>, const int32_t*, int64_t*, Write, Stream);
LETHE_CROSS_ENTROPY(double)
LETHE_CROSS_ENTROPY(float)
LETHE_CROSS_ENTROPY(bf16)
#undef LETHE_CROSS_ENTROPY

}  // namespace lethe::kernels::cuda
