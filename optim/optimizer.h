// The part of a training step that follows the backward pass: gradient norm, clipping, update.
#pragma once

#include <string>
#include <vector>

#include "engine/session.h"
#include "optim/owners.h"
#include "optim/parameter_groups.h"
#include "optim/schedule.h"

namespace lethe {

struct OptimizerOptions {
  // adamw: decay times the learning rate; decoupled_adamw: decay times the schedule's multiplier alone; lion:
  // with the latter decay (DecoupledLionW). Formulas: kernels/optimizer.h.
  std::string name = "adamw";
  double learning_rate = 1e-4;  // the peak
  double beta1 = 0.9, beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double max_gradient_norm = 1;  // 0: no clipping
  GroupingOptions grouping;
};

// Declares the optimizer's tensors in the tape's State and appends, in Phase::update, the gradient norm and
// the update of every trainable tensor, one node for each combination of dtypes:
//   "adam.m/<parameter>", "adam.v/<parameter>" or "lion.m/<parameter>", precision.moments_of it, zero at the
//   start; "master/<parameter>" or "remainder/<parameter>" as precision.master_of it says:
//   initialise_optimizer sets them step::learning_rate [groups], step::gradient_norm, step::parameters_moved,
//   step::halted
// With several ranks step::loss_sum is first summed over them, in place; the gradients already are
// (append_gradient_sums). Where parameters have owners (weight_owners), each one's state and update are its
// owner's, which hands the parameter to the others unless they only borrow it: the bits are those of
// Sharding::none. Every rank must record the same. Reads step::index, step::seed and step::loss_sum. The
// gradients must have been declared: call it after backward() of the first program. Throws ConfigError for
// options out of range, ShapeError naming a trainable tensor that has no gradient.
void append_update(Tape& tape, const OptimizerOptions& options, const Precision& precision,
                   const Distribution& distribution = {});

// The learning rate of each group for the step after `completed` steps: what Trainer::step takes.
std::vector<double> learning_rates(const State& state, const OptimizerOptions& options,
                                   const ScheduleSpec& schedule, int64_t completed);

// Makes the master weights those that were loaded or initialised; moments are zero from the start. After
// that, before a checkpoint is loaded.
void initialise_optimizer(Session& session);

}  // namespace lethe
