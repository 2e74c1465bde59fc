// Random numbers keyed by seed, stream and position, as engine/rng.h has them.
#pragma once

#include "engine/tape.h"
#include "kernels/random.h"

namespace lethe::ops {

// Replaces what a floating tensor holds with deviation * N(0, 1). Element k of the tensor in row-major order
// gets Rng(seed, stream).normal(k). Throws ShapeError for an integer tensor.
void normal(Tape& tape, Var y, double deviation, kernels::RandomStream random,
            const std::string& name = "normal");

// The same with the uniform distribution in [-bound, bound).
void uniform(Tape& tape, Var y, double bound, kernels::RandomStream random,
             const std::string& name = "uniform");

}  // namespace lethe::ops
