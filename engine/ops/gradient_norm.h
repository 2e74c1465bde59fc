// The global L2 norm of all gradients, and the factor that clips it (Pascanu, Mikolov & Bengio, "On the
// difficulty of training recurrent neural networks", 2013; the factor as torch's clip_grad_norm_ has it).
#pragma once

#include <vector>

#include "engine/tape.h"

namespace lethe::ops {

struct GradientNorm {
  Var norm, scale;  // one float64 each
  Var halted;       // one int64, 0 at the start; stays 1 until the host clears it
};

// norm = sqrt(sum of all squares), in double and in an order fixed by the shapes;
// scale = min(1, max_norm / (norm + 1e-6)), 1 when max_norm is 0. Where the norm or the loss (one float64) is
// not finite, halted becomes 1; while it is 1 the scale is NaN, and the updates change nothing.
// Throws ShapeError for other dtypes, ConfigError for a negative max_norm.
void gradient_norm(Tape& tape, const std::vector<Var>& gradients, Var loss, double max_norm,
                   const GradientNorm& into, const std::string& name = "gradient_norm");

// The same in two steps, for gradients that several ranks hold: into[places[i]] = the sum of gradients[i]'s
// squares, every other element of `into` (float64) 0; and, of all such sums, the norm. In the order of the
// places they add up to the bits of the above on a CPU. Throw likewise.
void gradient_squares(Tape& tape, const std::vector<Var>& gradients, const std::vector<int32_t>& places,
                      Var into, const std::string& name = "gradient_squares");
void norm_of_squares(Tape& tape, Var squares, Var loss, double max_norm, const GradientNorm& into,
                     const std::string& name = "gradient_norm");

}  // namespace lethe::ops
