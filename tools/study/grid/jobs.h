// A grid's graph of jobs. Their ids depend on nothing that a run finds out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/options/train_options.h"
#include "tools/study/grid/config.h"

namespace lethe::grid {

// One way to continue (or make) a base.
struct Run {
  const Experiment* experiment = nullptr;  // absent: a base
  const Base* base = nullptr;
  std::string method = "full", label, modules;
  int64_t rank = 0;
  double alpha = 0, weight_decay = 0, replay = 0, ratio = 1;  // ratio: LoRA+'s
  double learning_rate = 0;                                   // 0: the best of the sweep's
  std::vector<std::string> swept;                             // ids of the jobs that tell the best one
  double attention_dropout = 0;
  int64_t seed = 0;
  Duration duration;
  std::vector<double> scales;  // of the update, measured after training
  Layers layers;
  std::string trunk;               // id of the run that it leaves; empty: starts from the base
  std::vector<Duration> branches;  // of a trunk: shorter ones, whose beginnings are kept
  bool exported = false;           // somebody reads the model
};

struct Job {
  std::string id, stage;  // base, train, branch, score, eval, spectrum
  std::vector<std::string> depends_on;
  Run run;              // of base, train and branch; of eval and spectrum that of the model
  std::string subject;  // of eval and spectrum: the job whose model it looks at
};

// A base stands before the first experiment that continues it. In an order in which each comes after those it
// depends on.
std::vector<Job> jobs_of(const Study& study);

// "2M", "3ep", "500st".
std::string short_text(const Duration& duration);

// A run's options as `lethe train` would have them. steps and the cooldown come from course_of.
TrainOptions options_of(const Study& study, const Run& run, const std::string& model_folder);

// Where a run of the trunk's schedule stands: all in optimizer steps.
struct Course {
  int64_t steps = 0, cooldown_start = 0;  // the latter: steps without a cooldown
  int64_t warmup = 0;
};
// rows_per_epoch: 0 where not known, then epochs are refused.
Course course_of(const Experiment* experiment, const TrainOptions& options, const Duration& duration,
                 int64_t rows_per_epoch);

// Sets the run's length and its cooldown. Where a duration ends within the warm-up, short_branches decides:
// "warmup" rises to the end and never cools down, as the paper's libraries would; "scaled" falls from where
// the warm-up has come to.
void shape_schedule(const Run& run, const Course& course, TrainOptions& options);

}  // namespace lethe::grid
