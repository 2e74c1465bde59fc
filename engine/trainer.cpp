#include "engine/trainer.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/step_inputs.h"

namespace lethe {

void set_batch(Session& session, const MicroBatch& batch) {
  const auto set = [&](const char* name, std::span<const int32_t> values) {
    const Buffer b = session.buffer(name);
    if (static_cast<int64_t>(values.size()) > b.rows * b.width) {
      throw ShapeError(name,
                       fmt::format("a batch of {} tokens does not fit {}", values.size(), b.rows * b.width));
    }
    session.backend().upload(b.data, values.data(), static_cast<int64_t>(values.size_bytes()));
  };
  set(step::ids, batch.ids);
  set(step::labels, batch.labels);
  set(step::positions, batch.positions);
  set(step::document_start, batch.document_start);
  session.set<int64_t>(step::first_row, {batch.first_row});
}

void set_loss_gradient(Session& session, double value) {
  if (session.state()[session.state().require(step::loss_gradient)].dtype == DType::f64) {
    session.set<double>(step::loss_gradient, {value});
  } else {
    session.set<float>(step::loss_gradient, {static_cast<float>(value)});
  }
}

StepResult Trainer::step(const std::vector<MicroBatch>& micro_batches, int64_t step_index,
                         const std::vector<double>& learning_rates) {
  StepResult result;
  for (const MicroBatch& m : micro_batches) result.targets += m.targets;
  if (result.targets == 0)
    throw DataError(fmt::format("step {}: no token of the batch is a target", step_index));

  session_.set<int64_t>(step::index, {step_index});
  session_.set<double>(step::learning_rate, learning_rates);
  // The global number of targets, whatever the split into micro-batches: the mathematics must not see it.
  set_loss_gradient(session_, 1.0 / static_cast<double>(result.targets));
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    set_batch(session_, micro_batches[i]);
    session_.run(i == 0 ? programs_.first : programs_.next);
  }
  session_.run(programs_.update);

  result.loss = session_.get<double>(step::loss_sum)[0] / static_cast<double>(result.targets);
  result.gradient_norm = session_.get<double>(step::gradient_norm)[0];
  result.parameters_moved = session_.get<int64_t>(step::parameters_moved)[0];
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    throw DivergedError(
        fmt::format("step {}: loss {} and gradient norm {} are not both finite; the weights were not changed",
                    step_index, result.loss, result.gradient_norm));
  }
  return result;
}

}  // namespace lethe
