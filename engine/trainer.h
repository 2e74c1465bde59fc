// Drives the programs of one optimizer step: the micro-batches, then the update. Knows batches only as spans
// and the model only as programs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/session.h"

namespace lethe {

// One run of the forward and backward program. Spans hold rows * tokens values each.
struct MicroBatch {
  std::span<const int32_t> ids, labels, positions, document_start;
  int64_t first_row = 0;  // of its first token among the tokens of the whole step: keys the dropout
  int64_t targets = 0;    // labels that are not ignored
};

// Program numbers in the Session. `next` equals `first` where a step has one micro-batch.
struct StepPrograms {
  size_t first = 0;   // forward and backward, gradients replaced
  size_t next = 0;    // forward and backward, gradients added to
  size_t update = 0;  // norm, clipping, optimizer
};

struct StepResult {
  double loss = 0;           // mean over the step's targets, nats
  double gradient_norm = 0;  // before clipping
  int64_t parameters_moved = 0;
  int64_t targets = 0;
};

class Trainer {
 public:
  Trainer(Session& session, StepPrograms programs) : session_(session), programs_(programs) {}

  // One optimizer step. step_index counts from 1; learning_rates has one value per parameter group. Throws
  // DataError if no label is a target, DivergedError if loss or gradient norm is not finite (the weights are
  // then as they were before the step).
  StepResult step(const std::vector<MicroBatch>& micro_batches, int64_t step_index,
                  const std::vector<double>& learning_rates);

 private:
  Session& session_;
  StepPrograms programs_;
};

// Copies a batch into the program's inputs. Fewer tokens than the inputs hold: the rest keeps what it held.
void set_batch(Session& session, const MicroBatch& batch);

// Sets the reciprocal of the number of targets that the loss's gradient starts from.
void set_loss_gradient(Session& session, double value);

}  // namespace lethe
