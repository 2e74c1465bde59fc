// How far one model's predictions lie from another's.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// KL(p || q) of each row's softmaxes in nats, 0 where the label is -100, as kernels/kl_divergence.h has it.
// p, q: logits [rows, vocabulary] of one type; labels: int32 [rows]. Returns [rows] in the compute type. A
// measure, without a gradient. Throws ShapeError naming what does not fit.
Var kl_divergence(Tape& tape, Var p, Var q, Var labels, const std::string& name = "kl_divergence");

}  // namespace lethe::ops
