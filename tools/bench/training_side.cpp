#include "tools/bench/training_side.h"

#include "engine/step_inputs.h"

namespace lethe {

TrainingSide::TrainingSide(const ProgramSpec& spec, std::unique_ptr<Backend> backend)
    : programs_(record_programs(spec)),
      session_(std::move(programs_.state), std::move(programs_.tapes), std::move(backend)),
      trainer_(session_, *programs_.step),
      batch_(spec.rows, spec.tokens, spec.config.vocab_size),
      world_(spec.distribution.world()),
      rates_(learning_rates(session_.state(), *spec.optimizer, ScheduleSpec{}, 0)) {
  fill_rope_table(session_, spec.config);
  initialise_weights(session_, spec.config, 1);
  if (spec.lora) initialise_lora(session_, 1);
  initialise_optimizer(session_);
  session_.set<int64_t>(step::seed, {1});
}

StepResult TrainingSide::step() {
  // The other ranks have as many targets.
  trainer_.step({batch_.view()}, ++steps_, rates_, world_ * batch_.targets);
  return *trainer_.finish();
}

std::vector<std::vector<double>> TrainingSide::node_seconds() const {
  return {session_.node_seconds(programs().first), session_.node_seconds(programs().update)};
}

std::vector<std::vector<double>> TrainingSide::seconds_since(const std::vector<std::vector<double>>& before,
                                                             int64_t steps) const {
  std::vector<std::vector<double>> seconds = node_seconds();
  for (size_t p = 0; p < seconds.size(); ++p) {
    for (size_t n = 0; n < seconds[p].size(); ++n) {
      seconds[p][n] = (seconds[p][n] - before[p][n]) / static_cast<double>(steps);
    }
  }
  return seconds;
}

std::vector<ProfileRow> TrainingSide::profile(const std::vector<std::vector<double>>& seconds,
                                              const Limits& limits) const {
  std::vector<ProfileRow> rows;
  add_profile(rows, session_.program(programs().first), seconds[0], limits);
  add_profile(rows, session_.program(programs().update), seconds[1], limits);
  return rows;
}

}  // namespace lethe
