// Dropout whose mask is a function of (seed, step, stream, position) and is never stored; see
// kernels/dropout.h.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// Device-resident i64 [1] each: the run's seed, the optimizer step, and the number of rows (tokens) of the
// step that lie before this program's first one.
struct StepRandom {
  Var seed, step, first_row;
};

// Throws ShapeError unless all three are one int64.
void require_random(const Tape& tape, const StepRandom& random, const std::string& name);

// x: [rows, C]. Returns x / (1 - p) where kept, else 0; x itself when p is 0. stream tells this dropout from
// all others (stream_of its path). Throws ConfigError unless 0 <= p < 1, ShapeError for wrong dtypes.
Var dropout(Tape& tape, Var x, double p, const StepRandom& random, uint64_t stream,
            const std::string& name = "dropout");

}  // namespace lethe::ops
