// Log-likelihoods of continuations, many requests to a pass of the model.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/session.h"
#include "model/transformer.h"
#include "tools/eval/packing.h"

namespace lethe::eval {

struct Score {
  double log_likelihood = 0;  // of all targets together, nats
  bool greedy = true;         // each is the most probable token of its place
};

// Programs of several sizes, so that the last requests of a list, or those that ask for few logits, do not
// cost a whole pass.
struct ScoringProgram {
  size_t program = 0;  // of the session
  PassLimits size;
  Var losses, best;
};

// Declares what the programs read beside the step's inputs (engine/step_inputs.h).
void declare_scoring_inputs(State& state, const PassLimits& size);

// Whether requests may share what they begin with: not where a layer has a window, which counts places.
bool can_branch(const LlamaConfig& config);

// Records programs of `size` and parts of it over inputs that were declared for it, and appends them to
// `tapes`, in which their place is that in the session. size.tokens is at least 32.
std::vector<ScoringProgram> record_scoring(State& state, const Transformer& model, const PassLimits& size,
                                           std::vector<std::unique_ptr<Tape>>& tapes);

class Scorer {
 public:
  // programs: the largest first. branches: can_branch of the model that they were recorded for.
  Scorer(Session& session, std::vector<ScoringProgram> programs, bool branches)
      : session_(session), programs_(std::move(programs)), branches_(branches) {}

  // Told of each request once, in the order of the passes: the longest first.
  using OnScore = std::function<void(size_t request, const Score& score)>;

  // requests_at_once: in a pass, 0 for as many as fit. What a request gets does not depend on the others, up
  // to rounding where products differ with their size. Throws DataError for a request that fits in no pass.
  void run(std::span<const ScoreRequest> requests, int64_t requests_at_once, const OnScore& on_score);

  const PassLimits& size() const { return programs_[0].size; }

 private:
  struct Queued {
    PackedPass pass;
    std::unique_ptr<QueuedRead> values;
  };

  Queued queue(PackedPass pass);
  void take(const Queued& queued, std::span<const ScoreRequest> requests, const OnScore& on_score) const;

  Session& session_;
  std::vector<ScoringProgram> programs_;
  bool branches_;
};

}  // namespace lethe::eval
