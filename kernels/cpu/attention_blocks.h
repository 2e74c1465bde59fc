// What attention's forward and backward passes share: the blocks, and which keys a query sees.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/attention_dropout.h"
#include "kernels/cpu/gemm.h"

namespace lethe::kernels::cpu {

constexpr int64_t kQueryBlock = 64;
constexpr int64_t kKeyBlock = 128;

// The first key that query i of a row sees; i + 1 if it sees none.
inline int64_t first_key(const AttentionShape& shape, const int32_t* row_document_start, int64_t i) {
  const int64_t in_document = std::clamp<int64_t>(row_document_start[i], 0, i + 1);
  return shape.window > 0 ? std::max(in_document, i - shape.window + 1) : in_document;
}

// The first key that any of the queries [begin, end) sees.
inline int64_t first_key_of_block(const AttentionShape& shape, const int32_t* row_document_start,
                                  int64_t begin, int64_t end) {
  int64_t first = end;
  for (int64_t i = begin; i < end; ++i) first = std::min(first, first_key(shape, row_document_start, i));
  return first;
}

// m_ij of one query and the keys [begin, begin + count), at most kKeyBlock.
template <class C>
void draw_factors(const AttentionMask& mask, int64_t query, int64_t begin, int64_t count, C scale,
                  C* factors) {
  constexpr int64_t kGroups = kKeyBlock / 16 + 2;  // of 16 keys, of the first and last perhaps a part
  uint32_t words[16 * kGroups];
  const int64_t first = begin / 16 * 16, groups = (begin + count - first + 15) / 16;
  const int64_t half = query / 8 % 2 * 2;
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t c = 0; c < 8; ++c) {
      const PhiloxWords drawn = mask.words(query, first + 16 * g + c);
      words[16 * g + c] = half ? drawn.word[2] : drawn.word[0];
      words[16 * g + c + 8] = half ? drawn.word[3] : drawn.word[1];
    }
  }
  for (int64_t j = 0; j < count; ++j) factors[j] = mask.keeps(words[begin - first + j]) ? scale : C(0);
}

// Pieces of work so small that waking a core costs more are joined: how many of `multiply_adds` each make
// one.
inline int64_t attention_grain(int64_t multiply_adds) {
  constexpr int64_t kWorthACore = 1 << 18;
  return std::max<int64_t>(1, kWorthACore / std::max<int64_t>(1, multiply_adds));
}

}  // namespace lethe::kernels::cpu
