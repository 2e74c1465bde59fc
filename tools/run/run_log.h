// What a run leaves for people: metrics.jsonl, TensorBoard events, and a progress bar.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "tools/metrics/metrics_log.h"
#include "tools/metrics/progress.h"
#include "tools/metrics/tensorboard.h"
#include "tools/run/training_run.h"

namespace lethe {

class RunLog {
 public:
  // Writes into `folder`; resumed_step > 0 keeps what was logged up to that step. Throws IoError.
  RunLog(const std::string& folder, int64_t resumed_step, int64_t log_every);

  // note: what else the progress display should show, if anything.
  void step(const StepRecord& record, const std::string& note = "");
  // How long one took and what training waited for it.
  void checkpoint(const CheckpointTimes& times);
  void evaluation(const EvaluationRecord& record);
  // Also draws all so far, learning above forgetting: learning_and_forgetting.svg in the folder.
  void examination(const Examination& examination);

 private:
  MetricsLog metrics_;
  std::string folder_;
  EventWriter events_;
  ProgressBar progress_;
  int64_t log_every_, first_step_;
  double seconds_ = 0, unpadded_ = 0;  // since the run (or its resumption) began
};

}  // namespace lethe
