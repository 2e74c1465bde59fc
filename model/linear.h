// A linear map, or several that read the same input merged into one matrix, each with a low-rank update of
// its own if the configuration asks for it (Hu et al., "LoRA", 2021):
//   y = x W^T + s * (dropout(x) A^T) B^T,   s = alpha / r, or alpha / sqrt(r) (rsLoRA, Kalajdzievski 2023).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/ops/dropout.h"
#include "engine/tape.h"
#include "model/weights/peft.h"

namespace lethe {

// One map inside a merged matrix: its name ("q_proj") and its output width.
struct LinearPart {
  std::string name;
  int64_t out = 0;
};

class Linear {
 public:
  // Declares "<path>.<name>.weight" [sum of out, in], a row view "<path>.<part>.weight" for each of several
  // parts, and for targeted parts "<path>.<part>.lora_A.weight" [r, in] and ".lora_B.weight" [out, r].
  // Without LoRA the matrix is trained if `trained`; with it, only A and B are.
  Linear(State& state, const std::string& path, const std::string& name, std::vector<LinearPart> parts,
         int64_t in, const Precision& precision, const std::optional<LoraConfig>& lora, bool trained);

  // x: [tokens, in]. Returns [tokens, sum of out]. Without `random` (evaluation) nothing is dropped.
  Var record(Tape& tape, Var x, const std::optional<ops::StepRandom>& random) const;

  // Columns of part i in what record returned.
  Var part(Tape& tape, Var y, size_t i) const;

 private:
  struct Adapter {
    int32_t a = -1, b = -1;  // State indices; -1: this part has none
  };

  std::string name_;
  std::vector<LinearPart> parts_;
  int32_t weight_;
  std::vector<Adapter> adapters_;
  double scale_ = 0, dropout_ = 0;
};

}  // namespace lethe
