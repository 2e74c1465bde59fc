// Dropout of attention's probabilities (Vaswani et al., 2017, section 5.4, as Hugging Face's
// attention_dropout places it): behind the softmax,
//   o_i = sum_j m_ij p_ij v_j,   m_ij = 1 / (1 - rate) where kept, else 0,
// while the log-sum-exp is of all visible keys. With delta_i = do_i . o_i, as without dropout,
//   ds_ij = p_ij (m_ij do_i . v_j - delta_i),   dv_j = sum_i m_ij p_ij do_i.
// Whether a pair is kept depends on (seed, step, stream, sequence, head, query, key) alone, with the
// sequence's number among all of the step and query and key as places within it: the words of
//   philox(key = seed, counter = (((sequence * heads + head) * G + g(query)) * G + g(key),
//                                 stream + step * 0x9E3779B97F4A7C15)),
//   g(x) = x / 16 * 8 + x % 8,   G = 8 * ceil(tokens / 16),
// belong to queries i and i + 8 and keys j and j + 8, word 2 * (query / 8 % 2) + key / 8 % 2 to each pair:
// the four that one lane of a tensor core's result has, whichever of queries and keys are its rows. A pair is
// kept where its word's upper 24 bits are at least rate * 2^24. So neither the split into micro-batches nor
// threads, ranks, blocks of keys or recomputation changes what is dropped.
#pragma once

#include <cmath>

#include "kernels/attention.h"
#include "kernels/dropout.h"
#include "kernels/philox.h"

namespace lethe::kernels {

// key.first_row: the number of tokens of the step before this program's first one, whole sequences.
struct AttentionDropout {
  double rate = 0;  // 0: nothing is dropped, and the key is not read
  cpu::DropoutKey key;

  bool drops() const { return rate > 0; }
  double scale() const { return 1 / (1 - rate); }
  uint32_t threshold() const { return static_cast<uint32_t>(std::ceil(rate * 0x1p24)); }
};

// What is kept of one sequence's head.
struct AttentionMask {
  uint64_t seed = 0, counter_high = 0;
  uint64_t first = 0;   // counter of query and key 0
  uint64_t across = 0;  // G
  uint32_t threshold = 0;

  // sequence: within this program.
  LETHE_HOST_DEVICE static AttentionMask of(const AttentionShape& shape, const cpu::DropoutKey& key,
                                            uint32_t threshold, int64_t sequence, int64_t head) {
    const int64_t before = shape.tokens > 0 ? *key.first_row / shape.tokens : 0;
    const auto across = static_cast<uint64_t>((shape.tokens + 15) / 16 * 8);
    const auto number = static_cast<uint64_t>((before + sequence) * shape.heads + head);
    return {static_cast<uint64_t>(*key.seed),
            key.stream + static_cast<uint64_t>(*key.step) * 0x9E3779B97F4A7C15u, number * across * across,
            across, threshold};
  }

  LETHE_HOST_DEVICE static uint64_t group(uint64_t place) { return place / 16 * 8 + place % 8; }
  LETHE_HOST_DEVICE PhiloxWords words(int64_t query, int64_t key) const {
    const uint64_t row = group(static_cast<uint64_t>(query)) * across;
    return philox(seed, first + row + group(static_cast<uint64_t>(key)), counter_high);
  }
  LETHE_HOST_DEVICE bool keeps(uint32_t word) const { return (word >> 8) >= threshold; }
};

}  // namespace lethe::kernels
