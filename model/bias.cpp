#include "model/bias.h"

#include "engine/ops/bias.h"

namespace lethe {

Bias::Bias(State& state, const std::string& path, const std::string& name,
           const std::vector<LinearPart>& parts, const Precision& precision, bool trained)
    : name_(name + ".bias") {
  int64_t all = 0;
  for (const LinearPart& p : parts) all += p.out;
  bias_ = state.declare(
      {.name = path + "." + name_, .dtype = precision.weights, .shape = {all}, .trainable = trained});
  if (parts.size() == 1) return;
  int64_t column = 0;
  for (const LinearPart& p : parts) {
    state.declare_block(path + "." + p.name + ".bias", bias_, 0, 1, column, p.out);
    column += p.out;
  }
}

void Bias::record(Tape& tape, Var y) const {
  ops::add_bias(tape, y, tape.persistent(bias_), name_);
}

}  // namespace lethe
