// The element types of a GGUF file. Quantised ones lie in blocks of consecutive weights of a row, each with
// scales of its own; the layouts are those of ggml (https://github.com/ggml-org/ggml, ggml-common.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lethe {

enum class GgmlType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q8_0 = 8,
  q4_k = 12,
  q6_k = 14,
  bf16 = 30
};

struct GgmlBlock {
  int64_t weights = 1, bytes = 0;  // bytes 0: not a type that Lethe reads
};

GgmlBlock block_of(GgmlType type);
// "Q4_K"; "type 99" for an unknown number.
std::string name_of(GgmlType type);

// `count` weights, whole blocks of them. Bit for bit what ggml computes: every product is exact in fp32 (a
// half times two small integers), and only the last addition of Q4_1 and Q4_K rounds.
void dequantise(GgmlType type, const std::byte* blocks, int64_t count, float* to);

// Blocks of 32 with d = max|x| / 127 and q = round(x / d), halves away from zero, d stored as a half; the
// values must be finite and d within a half's range, else the index of the first value of the bad block is
// returned; -1 if all is well.
int64_t quantise_q8_0(const float* values, int64_t count, std::byte* to);

}  // namespace lethe
