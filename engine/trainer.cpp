#include "engine/trainer.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "engine/step_inputs.h"

namespace lethe {
namespace {

// Values that go to the device together. They may be gone once send() has returned, not before.
class InputPack {
 public:
  explicit InputPack(Session& session) : session_(session) {}

  void add(const char* name, const void* values, int64_t bytes) {
    parts_.push_back({session_.buffer(name).data, values, bytes});
  }
  void add_batch(const MicroBatch& batch) {
    add_tokens(step::ids, batch.ids);
    add_tokens(step::labels, batch.labels);
    add_tokens(step::positions, batch.positions);
    add_tokens(step::document_start, batch.document_start);
    add(step::first_row, &batch.first_row, sizeof batch.first_row);
  }
  void send() { session_.backend().queue_uploads(parts_); }

 private:
  void add_tokens(const char* name, std::span<const int32_t> values) {
    const Buffer b = session_.buffer(name);
    if (static_cast<int64_t>(values.size()) > b.rows * b.width) {
      throw ShapeError(name,
                       fmt::format("a batch of {} tokens does not fit {}", values.size(), b.rows * b.width));
    }
    parts_.push_back({b.data, values.data(), static_cast<int64_t>(values.size_bytes())});
  }

  Session& session_;
  std::vector<Upload> parts_;
};

DeviceRange range_of(const Session& session, const char* name) {
  const Buffer b = session.buffer(name);
  return {b.data, b.rows * b.width * size_of(b.dtype)};
}

// Ends a range that tools see, however the scope is left.
class Range {
 public:
  Range(Backend& backend, const std::string& name) : backend_(backend) { backend_.begin_range(name); }
  ~Range() { backend_.end_range(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  Backend& backend_;
};

}  // namespace

void set_batch(Session& session, const MicroBatch& batch) {
  InputPack pack(session);
  pack.add_batch(batch);
  pack.send();
}

void set_loss_gradient(Session& session, double value) {
  if (session.state()[session.state().require(step::loss_gradient)].dtype == DType::f64) {
    session.set<double>(step::loss_gradient, {value});
  } else {
    session.set<float>(step::loss_gradient, {static_cast<float>(value)});
  }
}

Trainer::Pending Trainer::queue(const std::vector<MicroBatch>& micro_batches, int64_t step_index,
                                int64_t targets, const std::vector<double>& learning_rates) {
  const Range range(session_.backend(), fmt::format("step {}", step_index));
  std::unique_ptr<QueuedRead> waited_before = pending_ ? nullptr : read_waited();
  const State& state = session_.state();
  // The global number of targets, whatever the split into micro-batches: the mathematics must not see it.
  const double share = 1.0 / static_cast<double>(targets);
  const auto share32 = static_cast<float>(share);
  const bool wide = state[state.require(step::loss_gradient)].dtype == DType::f64;
  const auto rates = static_cast<int64_t>(learning_rates.size());
  if (const int64_t groups = elements_of(state[state.require(step::learning_rate)].shape); rates != groups) {
    throw ShapeError(step::learning_rate, fmt::format("{} rates for {} parameter groups", rates, groups));
  }
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    InputPack pack(session_);
    pack.add_batch(micro_batches[i]);
    if (i == 0) {
      pack.add(step::index, &step_index, sizeof step_index);
      pack.add(step::learning_rate, learning_rates.data(), rates * int64_t{sizeof(double)});
      pack.add(step::loss_gradient, wide ? static_cast<const void*>(&share) : &share32,
               wide ? sizeof share : sizeof share32);
    }
    pack.send();
    const bool last = i + 1 == micro_batches.size();
    session_.run(i == 0 ? programs_.first : last ? programs_.last : programs_.next);
  }
  // The update sums it over the ranks.
  const DeviceRange loss = range_of(session_, step::loss_sum);
  const bool shared = session_.backend().waited().bytes > 0;
  std::unique_ptr<QueuedRead> own_loss =
      shared ? session_.backend().queue_read(std::span(&loss, 1)) : nullptr;
  if (before_update_) before_update_();
  session_.run(programs_.update);
  const std::array ranges = {loss, range_of(session_, step::gradient_norm),
                             range_of(session_, step::parameters_moved)};
  return {step_index,
          targets,
          session_.backend().queue_read(ranges),
          read_waited(),
          std::move(waited_before),
          std::move(own_loss)};
}

std::unique_ptr<QueuedRead> Trainer::read_waited() const {
  const DeviceRange waited = session_.backend().waited();
  return waited.bytes > 0 ? session_.backend().queue_read(std::span(&waited, 1)) : nullptr;
}

StepResult Trainer::take(Pending pending) {
  QueuedRead& values = *pending.values;
  values.wait();
  const auto waited = [&](QueuedRead& read) {
    read.wait();
    return read.value<int64_t>(0);
  };
  own_loss_sum_ = values.value<double>(0);
  if (pending.own_loss) {
    pending.own_loss->wait();
    own_loss_sum_ = pending.own_loss->value<double>(0);
  }
  if (pending.waited_before) waited_ = waited(*pending.waited_before);
  const int64_t before = std::exchange(waited_, pending.waited ? waited(*pending.waited) : 0);
  const StepResult result{.step = pending.step,
                          .loss = values.value<double>(0) / static_cast<double>(pending.targets),
                          .gradient_norm = values.value<double>(1),
                          .parameters_moved = values.value<int64_t>(2),
                          .targets = pending.targets,
                          .waited_seconds = 1e-9 * static_cast<double>(waited_ - before),
                          .finished = values.finished()};
  if (!std::isfinite(result.loss) || !std::isfinite(result.gradient_norm)) {
    throw DivergedError(
        fmt::format("step {}: loss {} and gradient norm {} are not both finite; the weights were not changed",
                    result.step, result.loss, result.gradient_norm));
  }
  return result;
}

std::optional<StepResult> Trainer::step(const std::vector<MicroBatch>& micro_batches, int64_t step_index,
                                        const std::vector<double>& learning_rates, int64_t step_targets) {
  int64_t targets = step_targets;
  if (targets == 0) {
    for (const MicroBatch& m : micro_batches) targets += m.targets;
  }
  if (targets == 0) throw DataError(fmt::format("step {}: no token of the batch is a target", step_index));
  std::optional<StepResult> before;
  // The update sets the flag once loss or norm is not finite and changes nothing from then on. Without it
  // nothing but the host keeps this step from moving the weights of a run that has diverged.
  if (session_.state().find(step::halted) < 0) before = finish();
  Pending queued = queue(micro_batches, step_index, targets, learning_rates);
  if (!before) before = finish();
  pending_ = std::move(queued);
  return before;
}

std::optional<StepResult> Trainer::finish() {
  if (!pending_) return std::nullopt;
  Pending pending = std::move(*pending_);
  pending_.reset();
  return take(std::move(pending));
}

StepResult Trainer::step_now(const std::vector<MicroBatch>& micro_batches, int64_t step_index,
                             const std::vector<double>& learning_rates) {
  step(micro_batches, step_index, learning_rates);
  return *finish();
}

}  // namespace lethe
