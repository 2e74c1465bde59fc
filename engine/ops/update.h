// The parameter updates AdamW and Lion, of many tensors in one node; the formulas stand in
// kernels/optimizer.h.
#pragma once

#include <vector>

#include "engine/tape.h"
#include "kernels/optimizer.h"

namespace lethe::ops {

// One parameter and its state, all of one shape and one pitch. Lion has no v. master is
//   invalid where the parameter has the moments' dtype (bfloat16: rounded at random),
//   float32 where a bfloat16 parameter is the rounding of a copy,
//   uint16 where it is the upper half of a float32.
struct UpdateTensors {
  Var parameter, gradient, m, v, master;
  int32_t group = 0;
  uint32_t stream = 0;  // tells tensors apart in random rounding
};

// Device-resident: learning rates (float64 [groups]), step (one int64, from 1), gradient scale (one float64;
// not finite: nothing is changed), seed (one int64; only where something is rounded at random).
struct UpdateScalars {
  Var learning_rates, step, gradient_scale, seed;
};

// What the combination of dtypes is called; tensors of one kind share a node. Throws ShapeError, at `name`
// and with the dtypes, for a combination that there is no kernel for.
int kind_of_update(const Tape& tape, const UpdateTensors& tensors, const std::string& name);

// Update the parameters and their state in place, and add the number of parameters whose stored value changed
// to `moved` (one int64), or replace it. groups: the constants that belong to each learning rate. Throw
// ShapeError when shapes, dtypes or groups do not fit, or the tensors are of several kinds.
void adamw(Tape& tape, const std::vector<UpdateTensors>& tensors, const UpdateScalars& scalars,
           const std::vector<kernels::UpdateConstants>& groups, Output moved, const std::string& name);
void lion(Tape& tape, const std::vector<UpdateTensors>& tensors, const UpdateScalars& scalars,
          const std::vector<kernels::UpdateConstants>& groups, Output moved, const std::string& name);

}  // namespace lethe::ops
