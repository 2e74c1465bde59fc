// What a run asks of its model now and then beside its loss. The training loop knows this much of a
// benchmark.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/session.h"
#include "model/transformer.h"

namespace lethe {

// One number about a model.
struct Measure {
  std::string name;  // of a benchmark, "loss of NAME" or "divergence of NAME"
  double value = 0;
  double standard_error = 0;  // NaN: not known
  int64_t count = 0;          // documents or tokens
  bool lower_is_better = false;
};

// A model on disk: a folder, or an adapter's folder beside its base's.
struct SavedModel {
  std::string model, adapter;
};

class Examiner {
 public:
  virtual ~Examiner() = default;

  // What record() needs declared: the most tokens of a pass, and the most of one text.
  virtual int64_t tokens() const = 0;
  virtual int64_t positions() const = 0;
  // Appends programs that read the State's weights. Called once, before the plan is made.
  virtual void record(State& state, const Transformer& model, std::vector<std::unique_ptr<Tape>>& tapes) = 0;
  // The same texts each time. save: writes the model somewhere and says where.
  virtual std::vector<Measure> examine(Session& session, const std::function<SavedModel()>& save) = 0;
  // Given to the model in one examination.
  virtual int64_t tokens_examined() const = 0;
};

}  // namespace lethe
