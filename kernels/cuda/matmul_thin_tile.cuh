// A piece of an operand in shared memory: kDepth terms of the sum for R rows or columns of the output. Pieces
// of 16 bytes are exchanged within a line of 128 by the line's number, so that eight of one column lie in
// different banks.
#pragma once

#include "kernels/cuda/matmul_thin_ops.cuh"

namespace lethe::kernels::cuda {

inline constexpr int kThinThreads = 256;
inline constexpr int kDepth = 64;

// How an operand lies in memory: [size, depth], the terms of a sum next to each other, or [depth, size].
enum class Lie { by_depth, by_size };

// An operand as the kernel takes it.
struct ThinOperand {
  const bf16* data;
  int64_t size, pitch;
};

template <Lie lie, int R, int kAhead>
struct ThinTile {
  static constexpr int kBytes = R * kDepth * 2;
  static constexpr int kLine = (lie == Lie::by_depth ? kDepth : R) * 2;

  // Of 8 values: a line and a place on it.
  __device__ static uint32_t offset(int line, int piece) {
    return static_cast<uint32_t>(line * kLine + ((piece ^ (line & 7)) << 4));
  }

  // Starts copying the terms from `term` on, of `depth`, for the size from `first` on. Eight threads copy a
  // line's 128 bytes.
  __device__ static void copy(uint32_t to, const ThinOperand& x, int64_t first, int64_t term, int64_t depth) {
    const int line = static_cast<int>(threadIdx.x) / 8, piece = static_cast<int>(threadIdx.x) % 8;
    constexpr int kLines = kThinThreads / 8;
    constexpr bool kByDepth = lie == Lie::by_depth;
    const int64_t top = (kByDepth ? first : term) + line, left = (kByDepth ? term : first) + 8 * piece;
    const int64_t bottom = kByDepth ? x.size : depth, right = kByDepth ? depth : x.size;
    const bf16* const from = x.data + top * x.pitch + left;
    const auto each = [&](const auto& copy_one) {
#pragma unroll
      for (int i = 0; i < (kByDepth ? R : kDepth) / kLines; ++i) {
#pragma unroll
        for (int j = 0; j < (kByDepth ? kDepth : R) / 64; ++j) copy_one(i, j);
      }
    };
    const auto place = [&](int i, int j) { return to + offset(line + i * kLines, piece + 8 * j); };
    if (first + R <= x.size && term + kDepth <= depth) {
      each([&](int i, int j) { copy_piece<kAhead>(place(i, j), from + i * kLines * x.pitch + 64 * j); });
      return;
    }
    each([&](int i, int j) {
      const int64_t values = top + i * kLines < bottom ? right - left - 64 * j : 0;
      const int bytes = static_cast<int>(values < 0 ? 0 : values > 8 ? 8 : values) * 2;
      const bf16* const at = from + i * kLines * x.pitch + 64 * j;
      copy_part(place(i, j), bytes > 0 ? at : x.data, bytes);
    });
  }

  // Four matrices for 16 of the size from `first` on, a multiple of 16, and 16 terms from 16 `step` on. The
  // left operand of mma wants them with the size running first, the right one with the terms.
  template <bool is_left>
  __device__ static void load(uint32_t (&to)[4], uint32_t tile, int first, int step) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int low = lane / 8 % 2, high = lane / 16;
    const int of_size = is_left ? low : high, of_depth = is_left ? high : low;
    const int size = first + 8 * of_size, term = 16 * step + 8 * of_depth;
    if constexpr (lie == Lie::by_depth) {
      load_fragments<false>(to, tile + offset(size + lane % 8, term / 8));
    } else {
      load_fragments<true>(to, tile + offset(term + lane % 8, size / 8));
    }
  }
};

}  // namespace lethe::kernels::cuda
