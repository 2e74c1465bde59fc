// Drives the programs of one optimizer step: the micro-batches, then the update. Knows batches only as spans
// and the model only as programs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/session.h"

namespace lethe {

// One run of the forward and backward program. Spans hold rows * tokens values each.
struct MicroBatch {
  std::span<const int32_t> ids, labels, positions, document_start;
  int64_t first_row = 0;  // of its first token among the tokens of the whole step: keys the dropout
  int64_t targets = 0;    // labels that are not ignored
};

// Program numbers in the Session. All but `update` are equal where a step has one micro-batch.
struct StepPrograms {
  size_t first = 0;   // forward and backward, gradients replaced
  size_t next = 0;    // forward and backward, gradients added to
  size_t last = 0;    // that of a step's last micro-batch, if it has several
  size_t update = 0;  // norm, clipping, optimizer
};

struct StepResult {
  int64_t step = 0;          // counts from 1
  double loss = 0;           // mean over the step's targets, nats
  double gradient_norm = 0;  // before clipping
  int64_t parameters_moved = 0;
  int64_t targets = 0;
  double waited_seconds = 0;               // that the step's programs stood still for sums over ranks
  QueuedRead::Clock::time_point finished;  // when the host learned of it, the device's work being done
};

// Results come one step late: while the device computes a step, the host queues the next and only then reads
// what the one before left. What queues nothing (the CPU) takes the same course.
class Trainer {
 public:
  Trainer(Session& session, StepPrograms programs) : session_(session), programs_(programs) {}

  // Queues one optimizer step and returns the result of the step before it, if that was not taken yet.
  // step_index counts from 1; learning_rates has one value per parameter group. step_targets: those of the
  // whole step where other ranks compute a part of it; 0: these micro-batches are all. Throws DataError if no
  // label is a target, DivergedError naming the earlier step if its loss or gradient norm is not finite: the
  // weights are then as they were before that step, and neither it nor this one counts.
  std::optional<StepResult> step(const std::vector<MicroBatch>& micro_batches, int64_t step_index,
                                 const std::vector<double>& learning_rates, int64_t step_targets = 0);
  // The result of the last step, if it was not taken yet: before anything but the next step looks at the
  // session. Throws DivergedError.
  std::optional<StepResult> finish();
  // Queues one step and waits for its own result; nothing may be pending.
  StepResult step_now(const std::vector<MicroBatch>& micro_batches, int64_t step_index,
                      const std::vector<double>& learning_rates);

  // The part of the loss sum that this rank computed of the step last taken; that step may have diverged.
  double own_loss_sum() const { return own_loss_sum_; }

  // Called before each step's update is queued, the one program that changes weights and their state.
  void set_before_update(std::function<void()> call) { before_update_ = std::move(call); }

  // Whether the device has a queued step still to finish.
  bool busy() const { return pending_ && !pending_->values->ready(); }
  // Whether a result was not taken yet.
  bool pending() const { return pending_.has_value(); }

 private:
  struct Pending {
    int64_t step = 0, targets = 0;
    std::unique_ptr<QueuedRead> values;
    // Backend::waited() behind the step and, where no step was pending, before it; null: not counted.
    std::unique_ptr<QueuedRead> waited, waited_before;
    std::unique_ptr<QueuedRead> own_loss;  // this rank's part of the loss sum; null: it is all
  };

  Pending queue(const std::vector<MicroBatch>& micro_batches, int64_t step_index, int64_t targets,
                const std::vector<double>& learning_rates);
  StepResult take(Pending pending);
  std::unique_ptr<QueuedRead> read_waited() const;

  Session& session_;
  StepPrograms programs_;
  std::function<void()> before_update_;
  std::optional<Pending> pending_;
  double own_loss_sum_ = 0;
  int64_t waited_ = 0;  // Backend::waited() behind the last step that was taken
};

// Queues a batch for the program's inputs. Fewer tokens than the inputs hold: the rest keeps what it held.
void set_batch(Session& session, const MicroBatch& batch);

// Sets the reciprocal of the number of targets that the loss's gradient starts from.
void set_loss_gradient(Session& session, double value);

}  // namespace lethe
