// Tensors that each belong to one rank of a run.
#pragma once

#include <memory>
#include <vector>

#include "engine/comm/comm.h"
#include "engine/tape.h"

namespace lethe::ops {

// owners[i] is the rank that tensors[i] belongs to. One node for each dtype, in the order of the first tensor
// that has it; small tensors travel together. All ranks must record the same. Throw ShapeError.

// The owner's copy becomes the sum over the ranks, to the bits of all_reduce; the other ranks' stay as they
// are. Types: those of all_reduce.
void reduce_to_owners(Tape& tape, const std::vector<Var>& tensors, const std::vector<int>& owners,
                      const std::shared_ptr<Comm>& comm, const std::string& name = "reduce_to_owners");
// Every rank's copy becomes the owner's. Any type.
void gather_from_owners(Tape& tape, const std::vector<Var>& tensors, const std::vector<int>& owners,
                        const std::shared_ptr<Comm>& comm, const std::string& name = "gather_from_owners");
// The same where the tensors live within one run and only the owner's are held beyond it: of this rank's own,
// tensors[i] is what is sent and stays as it is; all others are written.
void borrow_from_owners(Tape& tape, const std::vector<Var>& tensors, const std::vector<int>& owners,
                        const std::shared_ptr<Comm>& comm, const std::string& name = "borrow_from_owners");

}  // namespace lethe::ops
