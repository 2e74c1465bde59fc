// Which token the logits hold most probable, and how often that is the target.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// Counts the rows whose label is not -100 and whose largest logit (the first of equals) is the label's.
// logits: [rows, vocabulary]; labels: int32 [rows]; into: int64, one element, replaced or added to. Throws
// ShapeError naming what does not fit.
void accuracy(Tape& tape, Var logits, Var labels, Output into, const std::string& name = "accuracy");
// The same into a new tensor.
Var accuracy(Tape& tape, Var logits, Var labels, const std::string& name = "accuracy");

// The index of each row's largest logit (the first of equals): logits [rows, vocabulary] -> int32 [rows]. Has
// no gradient.
Var most_probable(Tape& tape, Var logits, const std::string& name = "most_probable");

}  // namespace lethe::ops
