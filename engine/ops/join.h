// Nothing but a place in the program: what runs beside it and touches these tensors is waited for here, and
// their memory is free for others behind it.
#pragma once

#include <vector>

#include "engine/tape.h"

namespace lethe::ops {

void join(Tape& tape, const std::vector<Var>& tensors, const std::string& name = "join");

}  // namespace lethe::ops
