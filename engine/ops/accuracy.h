// How many target tokens the logits guess right.
#pragma once

#include "engine/tape.h"

namespace lethe::ops {

// Counts the rows whose label is not -100 and whose largest logit (the first of equals) is the label's.
// logits: [rows, vocabulary]; labels: int32 [rows]; into: int64, one element, replaced or added to. Throws
// ShapeError naming what does not fit.
void accuracy(Tape& tape, Var logits, Var labels, Output into, const std::string& name = "accuracy");
// The same into a new tensor.
Var accuracy(Tape& tape, Var logits, Var labels, const std::string& name = "accuracy");

}  // namespace lethe::ops
