// Cross-entropy of logits against target tokens; the formula stands in kernels/cross_entropy.h.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

struct CrossEntropy {
  Var losses;       // [rows], nats; 0 where the label is -100
  Var log_sum_exp;  // [rows]; no gradient flows through it
};

// logits: [rows, vocabulary]; labels: int32 [rows], each -100 or within the vocabulary (checked by whoever
// fills them: kernels::cpu::first_invalid_label). Both results have the logits' compute dtype. Throws
// ShapeError naming what does not fit.
CrossEntropy cross_entropy(Tape& tape, Var logits, Var labels, const std::string& name = "loss");

// For training: forward and gradient in one pass, in which the logits' memory becomes their gradient's; no
// node may read them afterwards but their own gradient's. seed: one float64 or float32 on the device, the
// gradient of every loss: the results, [rows], must be summed into the loss whose seed it is, which backward
// checks.
Var cross_entropy_training(Tape& tape, Var logits, Var labels, Var seed, const std::string& name = "loss");

// Throws ShapeError unless labels fit the rows of logits.
void check_labels(const Tape& tape, const std::string& name, Var logits, Var labels);

}  // namespace lethe::ops
