// One training run, from a configuration to a trained model on disk: what `lethe train` does, and what a
// study does many times.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint_writer.h"
#include "engine/comm/device_comm.h"
#include "optim/schedule.h"
#include "tools/run/base_divergence.h"
#include "tools/run/evaluate.h"
#include "tools/run/examination.h"
#include "tools/run/model_source.h"
#include "tools/run/ranks.h"
#include "tools/run/run_data.h"

namespace lethe {

struct StepRecord {
  int64_t step = 0;  // from 1
  int64_t steps = 0;
  StepResult result;
  double learning_rate = 0;
  double share_moved = 0;     // of the trained values, those that the step changed
  int64_t tokens = 0;         // all tokens dealt since the run began
  int64_t targets = 0;        // supervised ones among them
  int64_t step_tokens = 0;    // columns computed, padding included
  int64_t step_unpadded = 0;  // without padding
  // Their sum is the time from the step before (or from this one's beginning) until this one was known to be
  // done. Data that were dealt while the device was at work cost nothing.
  // communication: what the step stood still for sums over the ranks; sums beside its work cost nothing.
  // checkpoint: what the step waited for the checkpoint of the step before, and for its copy.
  double compute_seconds = 0, data_seconds = 0, communication_seconds = 0, checkpoint_seconds = 0;
};

struct EvaluationRecord {
  int64_t step = 0;
  int64_t tokens = 0;
  Evaluation evaluation;
};

// Records come in order, each when the step after it has been queued or when something must look at the
// state: an evaluation, a checkpoint, the end.
struct RunObserver {
  std::function<void(int64_t step)> before_step;  // the number of the step that will be queued
  std::function<void(const StepRecord&)> on_step;
  std::function<void(const EvaluationRecord&)> on_evaluation;
  std::function<void(const Examination&)> on_examination;
  std::function<void(const CheckpointTimes&)> on_checkpoint;  // when it is there, some steps later
  std::function<bool()> should_stop;                          // asked when a step has been queued
  std::function<bool(int64_t step)> should_save;              // beside train.save_every
};

// What a plan shows and a run begins with; nothing is allocated yet.
struct PreparedRun {
  TrainOptions options;
  ModelSource model;
  RunData data;
  ProgramSpec spec;
  ScheduleSpec schedule;
  int64_t steps = 0;
  int64_t micro_batches = 1;                // per step, over all ranks
  Share share;                              // of them, this rank's
  std::shared_ptr<Comm> comm;               // never null
  std::shared_ptr<DeviceComm> device_comm;  // of ranks on GPUs (rank_devices.h); else null
};

// Reads configuration, data and the model's headers and checks them against each other. Throws RequestErrors.
// comm: the ranks that the run is shared by; absent: one. Each rank calls this by itself: it tells the others
// nothing, and the first must have written the tokenized data before the others look for them.
PreparedRun prepare_run(const TrainOptions& options, std::shared_ptr<Comm> comm = nullptr);
// The same with a model and data that are at hand already.
PreparedRun prepare_run(const TrainOptions& options, ModelSource model, RunData data,
                        std::shared_ptr<Comm> comm = nullptr);

// The part of a request that needs no data: what `lethe plan` can say of a model alone.
ProgramSpec program_spec_of(const TrainOptions& options, const LlamaConfig& config);

struct Proof;

// With several ranks, all of them make the same calls in the same order. What is written, the first writes.
class TrainingRun {
 public:
  // Plans, allocates and fills the model. Throws MemoryError. trace: told what a GPU does; may be absent.
  explicit TrainingRun(PreparedRun prepared, std::shared_ptr<CudaTrace> trace = nullptr);

  // Continues from the newest complete checkpoint of the output folder; returns its step, 0 if there is none.
  // Throws FormatError if it is of another model, data or configuration.
  int64_t resume();

  // Allocates what writing checkpoints beside training takes; train() does where nobody has. Throws
  // MemoryError if train.checkpoint_async insists on what has no room. Collective.
  void prepare_checkpoints();

  // Trains to the end, or until should_stop; returns the last finished step. Saves as configured; all is
  // written on return. Throws DivergedError: the weights are then those before the step it names, and the run
  // cannot go on. A checkpoint that could not be written: RunError, of several ranks SharedFailure on all.
  int64_t train(const RunObserver& observer);

  // What must be the same on all ranks before the first step (require_same).
  Facts facts() const;

  // The trained model (full fine-tuning: a Hugging Face folder; LoRA: a PEFT adapter) under the output
  // folder. Loaded back and held against the model in memory before it gets that name; throws RunError if it
  // does not compute the same, or if no step changed a weight.
  std::string export_model(const std::string& folder);

  std::vector<Evaluation> evaluate_all();
  // Whether train() ended before the last step because the model had forgotten too much.
  bool forgot_too_much() const { return forgot_too_much_; }

  const PreparedRun& prepared() const { return prepared_; }
  Session& session() { return *session_; }
  const Session& session() const { return *session_; }
  int64_t step() const { return step_; }  // the last that was queued; finished outside train()
  int64_t trainable_parameters() const;
  // Trainer::own_loss_sum().
  double own_loss_sum() const { return trainer_->own_loss_sum(); }

 private:
  // PiSSA's: computed, or read where an earlier run of this output folder wrote them.
  void begin_with_principal_factors();
  // Queues a step; returns the record of the step before, if that was not taken yet.
  std::optional<StepRecord> queue_step();
  // The record of the last step, if it was not taken yet.
  std::optional<StepRecord> finish_step();
  void train_steps(const RunObserver& observer);
  void make_checkpoint_writer();
  void save_checkpoint();
  // Calls `work`; what fails there is told with the checkpoint that is still whole.
  void on_checkpoints(const std::function<void(CheckpointWriter&)>& work);
  void report_checkpoints(const RunObserver& observer);
  // After a failure of something else.
  void finish_last_checkpoint();
  StepRecord complete(StepRecord record, const StepResult& result);
  std::vector<Measure> measure_all();
  // Says what was learned and forgotten, and keeps the model if it is the best.
  Examination examine();
  bool examination_is_due(bool last) const;
  void restore_examinations(const std::string& file, const nlohmann::json& saved);
  // Collective; the first rank writes.
  void write_model_at_once(const std::string& folder) const;
  bool is_first() const { return prepared_.comm->rank() == 0; }
  std::string state_json() const;
  void write_model_to(const std::string& folder, const Session& session) const;
  // The logits of a probe; of ranks that borrow weights all must ask.
  std::vector<float> probed_logits();
  Proof prove_model(const std::string& folder, const std::vector<float>& original);
  // Whether other ranks hold some of the weights.
  bool borrows() const { return prepared_.spec.distribution.sharding == Sharding::zero3; }
  // On the first rank all weights, gathered from their owners; elsewhere, and where each holds them all,
  // nothing. Collective.
  std::unique_ptr<Session> gathered_model() const;
  std::vector<MicroBatch> my_micro_batches(const std::vector<MicroBatch>& all) const;

  PreparedRun prepared_;
  Programs programs_;  // State and tapes live in the session
  std::unique_ptr<Session> session_;
  std::unique_ptr<CheckpointWriter> checkpoints_;  // none without an output folder
  std::optional<Trainer> trainer_;
  Loader loader_;
  std::map<std::string, std::vector<double>> first_factors_;  // tools/run/pissa.h; empty without
  std::optional<BaseDivergence> divergence_;
  Examinations examinations_;
  double trained_seconds_ = 0;  // of all steps since the run began
  bool forgot_too_much_ = false;
  int64_t step_ = 0, tokens_ = 0, targets_ = 0;
  int64_t saved_step_ = -1;
  double stall_seconds_ = 0;      // for a checkpoint, since the last step was queued
  std::vector<int32_t> ignored_;  // labels of a micro-batch that only keeps step with the other ranks
  StepRecord queued_;             // of the last step, without its result
  QueuedRead::Clock::time_point last_finished_;
  int64_t steps_taken_ = 0;  // by this object, and whether any of them
  bool moved_ = false;       // changed a weight
};

}  // namespace lethe
