// A request in words and numbers: what will be trained, on what, with how many bytes and FLOPs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/planner.h"
#include "tools/run/training_run.h"

namespace lethe {

// Model, data and schedule in a few lines.
std::string describe_request(const PreparedRun& run);

struct PlanFigures {
  Plan plan;
  double flops_per_step = 0, forward_flops = 0, backward_flops = 0, update_flops = 0;
  int64_t parameters = 0, trainable = 0;
  size_t nodes = 0;
};

// Counts of one optimizer step with this many micro-batches, planned for this device. Throws MemoryError
// beyond the budget (< 0: none), saying what would fit.
PlanFigures plan_figures(const Programs& programs, const ProgramSpec& spec, int64_t micro_batches,
                         const Device& device, int64_t budget_bytes);

// Bytes by kind and FLOPs, as text and as JSON.
std::string describe_plan(const PlanFigures& figures);
nlohmann::json plan_json(const PlanFigures& figures);

// One node a line: number, phase, operation, path, output shapes, bytes and FLOPs.
std::string describe_program(const Tape& tape, const ProgramPlan& plan);

}  // namespace lethe
