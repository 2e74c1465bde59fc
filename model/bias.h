// The biases of a linear map, or of several that are merged into one.
#pragma once

#include <string>
#include <vector>

#include "engine/tape.h"
#include "model/linear.h"

namespace lethe {

class Bias {
 public:
  // Declares "<path>.<name>.bias", and a part of it "<path>.<part>.bias" for each of several parts.
  Bias(State& state, const std::string& path, const std::string& name, const std::vector<LinearPart>& parts,
       const Precision& precision, bool trained);

  // Adds to y, which Linear::record of the same parts returned and nothing has read.
  void record(Tape& tape, Var y) const;

 private:
  std::string name_;
  int32_t bias_ = -1;
};

}  // namespace lethe
