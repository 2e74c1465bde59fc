// Causal grouped-query attention over packed documents; the formula stands in kernels/attention.h.
#pragma once

#include "engine/tape.h"
#include "kernels/attention.h"

namespace lethe::ops {

using kernels::AttentionShape;

// q: [B*T, H*D]; k, v: [B*T, Hkv*D], three different tensors or views of one dtype; document_start: int32
// [B*T], where in its row a token's document begins. Scores are scaled by 1 / sqrt(D). Returns [B*T, H*D],
// its rows `pitch` elements apart; 0: the width. hidden: int32 [2, B*T] of kernels::branched_attention, if
// texts branch; there is then no gradient. Throws ShapeError naming what does not fit.
Var attention(Tape& tape, Var q, Var k, Var v, Var document_start, const AttentionShape& shape,
              const std::string& name = "attention", int64_t pitch = 0, Var hidden = {});

}  // namespace lethe::ops
