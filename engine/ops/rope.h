// Rotary positions on queries or keys, in place; the formula stands in kernels/rope.h.
#pragma once

#include <vector>

#include "engine/tape.h"
#include "kernels/rope.h"

namespace lethe::ops {

// Turns x: [rows, heads * head_dim], possibly a view (the queries' columns and the keys' behind them as one),
// in place; no node may have read it yet. positions:
// int32 [rows], each a row of the table; table: [max_position, head_dim] of x's compute dtype, filled with
// rope_table_values. Throws ShapeError naming what does not fit.
void rope(Tape& tape, Var x, Var positions, Var table, int64_t heads, int64_t head_dim,
          const std::string& name = "rope");

// What the host puts into a table of the given dtype (float64 or float32): [max_position, head_dim], each
// value exact in that dtype. head_dim is even.
std::vector<double> rope_table_values(double theta, int64_t head_dim, const RopeScaling& scaling,
                                      int64_t max_position, DType dtype);

}  // namespace lethe::ops
