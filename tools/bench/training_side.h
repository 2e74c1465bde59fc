// The model that a benchmark trains: random weights and one random batch, on a backend.
#pragma once

#include <vector>

#include "tools/bench/bench_model.h"
#include "tools/bench/profile.h"

namespace lethe {

class TrainingSide {
 public:
  // Throws what Session throws.
  TrainingSide(const ProgramSpec& spec, std::unique_ptr<Backend> backend);

  StepResult step();
  const Session& session() const { return session_; }
  const Tape& tape() const { return session_.program(programs().first); }
  const StepPrograms& programs() const { return *programs_.step; }

  // Seconds of each node since the session began, of the step's first program and of its update.
  std::vector<std::vector<double>> node_seconds() const;
  // Seconds of each node in an average step: what the nodes took beyond `before`, in `steps` steps.
  std::vector<std::vector<double>> seconds_since(const std::vector<std::vector<double>>& before,
                                                 int64_t steps) const;
  // The step's nodes by kind, given what seconds_since() gave.
  std::vector<ProfileRow> profile(const std::vector<std::vector<double>>& seconds,
                                  const Limits& limits) const;

 private:
  Programs programs_;  // State and tapes live in the session
  Session session_;
  Trainer trainer_;
  RandomBatch batch_;
  int64_t world_;
  std::vector<double> rates_;
  int64_t steps_ = 0;
};

}  // namespace lethe
