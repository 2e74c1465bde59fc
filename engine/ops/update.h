// The parameter updates AdamW and Lion; the formulas stand in kernels/optimizer.h.
#pragma once

#include "engine/tape.h"
#include "kernels/optimizer.h"

namespace lethe::ops {

// One parameter and its state, all of one shape. m, v and master have the optimizer's dtype, float32 or
// float64; master is invalid where the parameter has that dtype itself. Lion has no v.
struct UpdateTensors {
  Var parameter, gradient, m, v, master;
};

// Device-resident: learning rate (one float64), step (one int64, from 1), gradient scale (one float64; not
// finite: nothing is changed).
struct UpdateScalars {
  Var learning_rate, step, gradient_scale;
};

// Update the parameter and its state in place, and add the number of parameters whose stored value changed to
// `moved` (one int64), or replace it. Throw ShapeError when shapes or dtypes do not fit.
void adamw(Tape& tape, const UpdateTensors& tensors, const UpdateScalars& scalars,
           const kernels::UpdateConstants& constants, Output moved, const std::string& name);
void lion(Tape& tape, const UpdateTensors& tensors, const UpdateScalars& scalars,
          const kernels::UpdateConstants& constants, Output moved, const std::string& name);

}  // namespace lethe::ops
