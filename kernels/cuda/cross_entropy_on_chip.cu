// A row's slice per block: eight packs of 16 bytes in each thread's registers, loaded together, from the
// maximum to the gradient. Rows of more than 64 KiB are cut into two, four or eight slices for a cluster of
// blocks (compute capability 9 and up), which tell each other their sums through shared memory.
//
// In powers of two, which the hardware has: with y = x log2(e) and a reference R near the largest y,
//   S = sum_j 2^(y_j - R),   lse = R + log2(S),   loss = ln(2) (log2(S) - (y_t - R)),
//   dx_j = dloss (2^(y_j - lse) - [j == t]).
// y - R is one fused multiply-add, so R's own rounding cancels. Sums are joined in a fixed order.
#include <math_constants.h>

#include "kernels/cross_entropy.h"
#include "kernels/cuda/cross_entropy_on_chip.cuh"
#include "kernels/cuda/device.cuh"

namespace lethe::kernels::cuda {
namespace {

constexpr int N = kVector<bf16>;
constexpr int kPacks = 8;          // of a thread
constexpr int kMostThreads = 512;  // two blocks of them share a multiprocessor: 64 registers each
constexpr int kMostRanks = 8;      // blocks of a cluster that every such GPU can place
constexpr uint32_t kTwoMinusInfinities = 0xff80ff80u;
constexpr float kLog2E = 1.44269504f, kLn2 = 0.69314718f;

// 2^x, 2 units in the last place; below the smallest normal number 0.
__device__ inline float power_of_two(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Of each half; what is no number loses.
__device__ inline uint32_t larger_halves(uint32_t a, uint32_t b) {
  uint32_t larger;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(larger) : "r"(a), "r"(b));
  return larger;
}

// widen by another instruction: the compiler would keep what it has from the first time, in twice the
// registers, which there are not.
__device__ inline Values<bf16, N> widened_again(const Pack<bf16, N>& pack) {
  Values<bf16, N> values;
#pragma unroll
  for (int i = 0; i < N; ++i) {
    uint32_t bits;
    asm volatile("prmt.b32 %0, %1, 0, %2;"
                 : "=r"(bits)
                 : "r"(pack.words[i / 2]), "r"(i % 2 ? 0x3244 : 0x1044));
    values.at[i] = __uint_as_float(bits);
  }
  return values;
}

__device__ inline float warp_largest(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, step));
  return value;
}

// sum = sum of 2^(y - reference). A reference of minus infinity: nothing but that, and the sum is 0.
struct Share {
  float reference, sum;

  __device__ float sum_beside(float other_reference) const {
    return reference == -CUDART_INF_F ? sum : sum * power_of_two(reference - other_reference);
  }
};

__device__ Share share_of_warp(const Pack<bf16, N> (&x)[kPacks]) {
  uint32_t most = kTwoMinusInfinities;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) most = larger_halves(most, x[k].words[i]);
  }
  const float largest = fmaxf(__uint_as_float(most << 16), __uint_as_float(most & 0xffff0000u));
  const float reference = warp_largest(largest) * kLog2E;
  // Minus infinity less itself is no number.
  const float base = reference == -CUDART_INF_F ? 0.0f : reference;
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const auto v = widen(x[k]);
    float part = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) part += power_of_two(fmaf(v.at[i], kLog2E, -base));
    sum += part;
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  return {reference, sum};
}

// The shares of lane 0, 1, ... of a warp as one, for each of them.
__device__ Share joined_lanes(Share mine) {
  const float reference = warp_largest(mine.reference);
  float sum = mine.sum_beside(reference);
#pragma unroll
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  return {reference, sum};
}

__device__ Share joined_block(Share mine) {
  __shared__ Share of_warp[kMostThreads / 32];
  const unsigned lane = threadIdx.x % 32;
  if (lane == 0) of_warp[threadIdx.x / 32] = mine;
  __syncthreads();
  return joined_lanes(lane < blockDim.x / 32 ? of_warp[lane] : Share{-CUDART_INF_F, 0});
}

// ---- of a cluster: every thread of each of its blocks says that it is there, and waits for the others.
// Released: with what it wrote.
enum class Order { relaxed, released };
template <Order kOrder>
__device__ inline void arrive_in_cluster() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if constexpr (kOrder == Order::relaxed) {
    asm volatile("barrier.cluster.arrive.relaxed;");
  } else {
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
  }
#endif
}
__device__ inline void wait_for_cluster() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#endif
}
// Into block `rank`'s shared memory, where this block has `here`.
__device__ inline void put_in_block(const Share* here, unsigned rank, Share value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(here));
  asm volatile(
      "{\n\t"
      ".reg .u32 there;\n\t"
      "mapa.shared::cluster.u32 there, %0, %1;\n\t"
      "st.shared::cluster.v2.f32 [there], {%2, %3};\n\t"
      "}"
      :
      : "r"(address), "r"(rank), "f"(value.reference), "f"(value.sum)
      : "memory");
#endif
}

// Each block writes to all and reads its own, so none is read that has gone. Its threads have said before
// that they run.
__device__ Share joined_cluster(Share block, unsigned rank, unsigned ranks) {
  __shared__ __align__(8) Share of_block[kMostRanks];
  wait_for_cluster();
  if (threadIdx.x < ranks) put_in_block(of_block + rank, threadIdx.x, block);
  arrive_in_cluster<Order::released>();
  wait_for_cluster();
  const unsigned lane = threadIdx.x % 32;
  return joined_lanes(lane < ranks ? of_block[lane] : Share{-CUDART_INF_F, 0});
}

// Block b has row b / ranks and there the slice b % ranks, `slice` packs of it.
template <bool kCluster, class S>
__global__ void __launch_bounds__(kMostThreads, 2)
    forward_backward(Rows<bf16> logits, const int32_t* labels, const S* seed, float* losses, int slice,
                     unsigned ranks) {
  const int64_t row = kCluster ? blockIdx.x / ranks : blockIdx.x;
  const unsigned rank = kCluster ? blockIdx.x % ranks : 0;
  // A warp's packs are neighbours: their addresses are constants apart, in no registers.
  const int in_block = static_cast<int>(threadIdx.x / 32) * 32 * kPacks + static_cast<int>(threadIdx.x % 32);
  const int begin = static_cast<int>(rank) * slice + in_block;
  const int end = min(static_cast<int>(logits.width) / N, (static_cast<int>(rank) + 1) * slice);
  bf16* const at = row_of(logits, row) + int64_t{begin} * N;
  const int32_t label = labels[row];
  if (label == kIgnoredLabel) {
    if (rank == 0 && threadIdx.x == 0) losses[row] = 0;
#pragma unroll
    for (int k = 0; k < kPacks; ++k)
      if (begin + k * 32 < end) store_pack(at + k * 32 * N, Pack<bf16, N>{});
    return;
  }
  Pack<bf16, N> x[kPacks];
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    if (begin + k * 32 < end) {
      x[k] = load_pack<N>(at + k * 32 * N);
    } else {
#pragma unroll
      for (int i = 0; i < N / 2; ++i) x[k].words[i] = kTwoMinusInfinities;
    }
  }
  if constexpr (kCluster) arrive_in_cluster<Order::relaxed>();
  const auto scale = static_cast<float>(*seed);
  Share all = joined_block(share_of_warp(x));
  if constexpr (kCluster) all = joined_cluster(all, rank, ranks);
  const float log_sum = log2f(all.sum), lse = all.reference + log_sum;
#pragma unroll
  for (int k = 0; k < kPacks; ++k) {
    const int pack = begin + k * 32;
    if (pack >= end) break;
    const auto v = widened_again(x[k]);
    Values<bf16, N> out;
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] = power_of_two(fmaf(v.at[i], kLog2E, -lse));
    if (static_cast<uint32_t>(label - pack * N) < N) {
      float at_label = 0;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        if (label != pack * N + i) continue;
        at_label = v.at[i];
        out.at[i] -= 1;
      }
      losses[row] = kLn2 * (log_sum - fmaf(at_label, kLog2E, -all.reference));
    }
#pragma unroll
    for (int i = 0; i < N; ++i) out.at[i] *= scale;
    store_pack(at + k * 32 * N, narrow(out));
  }
}

// Whether what this GPU runs was compiled with the cluster's instructions.
template <class S>
bool has_clusters() {
  cudaFuncAttributes attributes{};
  const cudaError_t status = cudaFuncGetAttributes(&attributes, forward_backward<true, S>);
  return status == cudaSuccess && attributes.ptxVersion >= 90;
}

}  // namespace

template <class S>
bool cross_entropy_on_chip(Rows<bf16> logits, const int32_t* labels, const S* seed, float* losses,
                           Stream stream) {
  constexpr int64_t kMostSlice = kMostThreads * kPacks;
  if (logits.width % N != 0 || logits.width > kMostRanks * kMostSlice * N || !aligned(logits)) return false;
  const int64_t packs = logits.width / N;
  int64_t ranks = 1;
  while ((packs + ranks - 1) / ranks > kMostSlice) ranks *= 2;
  const int64_t slice = (packs + ranks - 1) / ranks;
  const int threads = threads_for((slice + kPacks - 1) / kPacks, kMostThreads);
  const auto blocks = static_cast<unsigned>(logits.rows * ranks), count = static_cast<unsigned>(ranks);
  if (ranks == 1) {
    forward_backward<false, S><<<blocks, threads, 0, native(stream)>>>(logits, labels, seed, losses,
                                                                       static_cast<int>(slice), count);
    return true;
  }
  if (!has_clusters<S>()) return false;
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = count;
  cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = static_cast<unsigned>(threads);
  config.stream = native(stream);
  config.attrs = &cluster;
  config.numAttrs = 1;
  cudaLaunchKernelEx(&config, forward_backward<true, S>, logits, labels, seed, losses,
                     static_cast<int>(slice), count);
  return true;
}

template bool cross_entropy_on_chip<double>(Rows<bf16>, const int32_t*, const double*, float*, Stream);
template bool cross_entropy_on_chip<float>(Rows<bf16>, const int32_t*, const float*, float*, Stream);

}  // namespace lethe::kernels::cuda
