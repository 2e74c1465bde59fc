// Causal grouped-query attention over packed documents; the formula stands in kernels/attention.h.
#pragma once

#include <optional>

#include "engine/ops/dropout.h"
#include "engine/tape.h"
#include "kernels/attention.h"

namespace lethe::ops {

using kernels::AttentionShape;

// Dropout of the probabilities (kernels/attention_dropout.h), each with probability `rate`. stream tells this
// dropout from all others (stream_of its path).
struct AttentionDropout {
  double rate = 0;
  StepRandom random;
  uint64_t stream = 0;
};

// q: [B*T, H*D]; k, v: [B*T, Hkv*D], three different tensors or views of one dtype; document_start: int32
// [B*T], where in its row a token's document begins. Scores are scaled by 1 / sqrt(D). Returns [B*T, H*D],
// its rows `pitch` elements apart; 0: the width. hidden: int32 [2, B*T] of kernels::branched_attention, if
// texts branch; there is then no gradient and no dropout. Throws ShapeError naming what does not fit,
// ConfigError unless 0 <= rate < 1 and 0 where texts branch.
Var attention(Tape& tape, Var q, Var k, Var v, Var document_start, const AttentionShape& shape,
              const std::string& name = "attention", int64_t pitch = 0, Var hidden = {},
              const std::optional<AttentionDropout>& dropout = {});

}  // namespace lethe::ops
