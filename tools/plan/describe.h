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

// What `eval` adds to a run.
struct ExaminationFigures {
  int64_t bytes = 0;   // of the arena
  int64_t tokens = 0;  // through the model in one examination; texts that are written are not counted
  double flops = 0;
  int64_t times = 0;
  double share = 0;  // of all the run's FLOPs
};

// run.spec's plan beside that of the same run without `eval`. Throws MemoryError.
ExaminationFigures examination_figures(const PreparedRun& run, const PlanFigures& figures,
                                       const Device& device);
std::string describe_examination(const ExaminationFigures& figures, const PlanFigures& of_steps);

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
