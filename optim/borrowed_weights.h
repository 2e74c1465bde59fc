// Weights that a rank does not hold, while it computes with them (ZeRO stage 3).
#pragma once

#include <memory>

#include "engine/tape.h"
#include "optim/owners.h"

namespace lethe {

// In a recorded program, whatever its passes: each weight that another rank owns becomes a tensor that lives
// from shortly before its first use in a pass (forward; recompute and backward) to its last, filled from its
// owner by a node that runs beside the layer before. owners: weight_owners. Throws ShapeError if a node
// writes such a weight.
void borrow_weights(Tape& tape, const std::vector<int>& owners, const std::shared_ptr<Comm>& comm);

}  // namespace lethe
