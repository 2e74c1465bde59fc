#include "engine/files/ggml_blocks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/error.h"
#include "engine/files/half.h"

namespace lethe {
namespace {

float half_at(const std::byte* from) {
  f16 value;
  std::memcpy(&value.bits, from, sizeof value.bits);
  return static_cast<float>(value);
}

void q4_0(const uint8_t* block, float d, float* y) {
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>((block[2 + j] & 15) - 8);
    y[j + 16] = d * static_cast<float>((block[2 + j] >> 4) - 8);
  }
}

void q4_1(const uint8_t* block, float d, float m, float* y) {
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(block[4 + j] & 15) + m;
    y[j + 16] = d * static_cast<float>(block[4 + j] >> 4) + m;
  }
}

void q8_0(const uint8_t* block, float d, float* y) {
  for (int j = 0; j < 32; ++j) y[j] = d * static_cast<float>(static_cast<int8_t>(block[2 + j]));
}

// Eight sub-blocks of 32 weights, each with a scale and a minimum of 6 bits, packed into 12 bytes.
void q4_k(const uint8_t* block, float d, float dmin, float* y) {
  const uint8_t* s = block + 4;
  const uint8_t* q = block + 16;
  for (int t = 0; t < 8; ++t) {
    const int scale = t < 4 ? s[t] & 63 : (s[t + 4] & 15) | (s[t - 4] >> 6) << 4;
    const int minimum = t < 4 ? s[t + 4] & 63 : (s[t + 4] >> 4) | (s[t] >> 6) << 4;
    const float step = d * static_cast<float>(scale), offset = dmin * static_cast<float>(minimum);
    for (int i = 0; i < 32; ++i) {
      const int byte = q[32 * (t / 2) + i];
      y[32 * t + i] = step * static_cast<float>(t % 2 == 0 ? byte & 15 : byte >> 4) - offset;
    }
  }
}

// Sixteen sub-blocks of 16 weights with a scale each; the weights' 4 low and 2 high bits lie apart.
void q6_k(const uint8_t* block, float d, float* y) {
  const uint8_t *low = block, *high = block + 128, *scales = block + 192;
  for (int i = 0; i < 256; ++i) {
    const int h = i / 128, g = i % 128 / 32, l = i % 32;
    const int low_byte = low[64 * h + 32 * (g % 2) + l];
    const int bits = (g < 2 ? low_byte & 15 : low_byte >> 4) | (high[32 * h + l] >> 2 * g & 3) << 4;
    const auto scale = static_cast<float>(static_cast<int8_t>(scales[8 * h + 2 * g + l / 16]));
    y[i] = d * scale * static_cast<float>(bits - 32);
  }
}

void dequantise_block(GgmlType type, const std::byte* from, float* y) {
  const auto* block = reinterpret_cast<const uint8_t*>(from);
  switch (type) {
    case GgmlType::q4_0:
      return q4_0(block, half_at(from), y);
    case GgmlType::q4_1:
      return q4_1(block, half_at(from), half_at(from + 2), y);
    case GgmlType::q8_0:
      return q8_0(block, half_at(from), y);
    case GgmlType::q4_k:
      return q4_k(block, half_at(from), half_at(from + 2), y);
    case GgmlType::q6_k:
      return q6_k(block, half_at(from + 208), y);
    case GgmlType::f16:
      *y = half_at(from);
      return;
    case GgmlType::bf16: {
      uint16_t bits = 0;
      std::memcpy(&bits, from, sizeof bits);
      *y = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
      return;
    }
    case GgmlType::f32:
      std::memcpy(y, from, sizeof *y);
      return;
  }
}

}  // namespace

GgmlBlock block_of(GgmlType type) {
  switch (type) {
    case GgmlType::f32:
      return {1, 4};
    case GgmlType::f16:
    case GgmlType::bf16:
      return {1, 2};
    case GgmlType::q4_0:
      return {32, 18};
    case GgmlType::q4_1:
      return {32, 20};
    case GgmlType::q8_0:
      return {32, 34};
    case GgmlType::q4_k:
      return {256, 144};
    case GgmlType::q6_k:
      return {256, 210};
  }
  return {};
}

std::string name_of(GgmlType type) {
  static constexpr const char* names[] = {
      "F32",   "F16",    "Q4_0", "Q4_1", "",     "",        "Q5_0",   "Q5_1",    "Q8_0",  "Q8_1",   "Q2_K",
      "Q3_K",  "Q4_K",   "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S",
      "IQ2_S", "IQ4_XS", "I8",   "I16",  "I32",  "I64",     "F64",    "IQ1_M",   "BF16"};
  const auto number = static_cast<uint32_t>(type);
  if (number < std::size(names) && names[number][0] != '\0') return names[number];
  if (number == 39) return "MXFP4";
  std::string text = "type ";
  return text += std::to_string(number);
}

void dequantise(GgmlType type, const std::byte* blocks, int64_t count, float* to) {
  const GgmlBlock block = block_of(type);
  for (int64_t i = 0; i < count / block.weights; ++i) {
    dequantise_block(type, blocks + i * block.bytes, to + i * block.weights);
  }
}

int64_t quantise_q8_0(const float* values, int64_t count, std::byte* to) {
  for (int64_t b = 0; b < count / 32; ++b, to += 34) {
    const float* x = values + b * 32;
    float largest = 0;
    for (int i = 0; i < 32; ++i) {
      if (!std::isfinite(x[i])) return b * 32;
      largest = std::max(largest, std::fabs(x[i]));
    }
    const float d = largest / 127.0f, inverse = d == 0 ? 0 : 1.0f / d;
    const f16 stored(d);
    if (!std::isfinite(static_cast<float>(stored))) return b * 32;
    std::memcpy(to, &stored.bits, sizeof stored.bits);
    for (int i = 0; i < 32; ++i) to[2 + i] = static_cast<std::byte>(std::lround(x[i] * inverse));
  }
  return -1;
}

}  // namespace lethe
