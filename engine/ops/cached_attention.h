// Keys and values kept from program to program, and attention to them; the formula stands in
// kernels/cached_attention.h. Neither has a gradient.
#pragma once

#include "engine/tape.h"
#include "kernels/cached_attention.h"

namespace lethe::ops {

using kernels::CachedAttentionShape;

// Copies row i of x: [N, width] to row rows[i] of cache: [slots * capacity, width] of x's dtype, rows: int32
// [N]; a negative one is left out. Throws ShapeError naming what does not fit.
void keep_rows(Tape& tape, Var x, Var rows, Var cache, const std::string& name = "keep");

// q: [N, H*D]; keys, values: [slots * capacity, Hkv*D], with this program's tokens in them; rows: int32 [N].
// Scores are scaled by 1 / sqrt(D). Returns [N, H*D], its rows `pitch` elements apart; 0: the width. Throws
// ShapeError naming what does not fit.
Var cached_attention(Tape& tape, Var q, Var keys, Var values, Var rows, const CachedAttentionShape& shape,
                     const std::string& name = "cached_attention", int64_t pitch = 0);

}  // namespace lethe::ops
