// How far a model in training has gone from its base on a text: the mean over tokens of KL(base || model), in
// nats, exact over the vocabulary. The base is the same model with the trained values it began with, put in
// their place for a moment: of LoRA the factors alone, with which the adapter is off.
#pragma once

#include <vector>

#include "tools/run/evaluate.h"
#include "tools/run/examiner.h"

namespace lethe {

class BaseDivergence {
 public:
  // Keeps the trained values of `session` in the host's memory: those of the base.
  BaseDivergence(Session& session, const DivergencePrograms& programs);

  // Over the first max_batches batches of the text, as evaluate_domain takes them. Leaves the session's
  // weights as they were, bit for bit.
  Measure measure(Session& session, int64_t rows_per_batch, const Domain& domain, int64_t max_batches,
                  int64_t documents) const;

 private:
  using Values = std::vector<std::vector<std::byte>>;

  Values read(const Session& session) const;
  void write(Session& session, const Values& values) const;

  DivergencePrograms programs_;
  std::vector<int32_t> trained_;
  Values base_;
};

}  // namespace lethe
