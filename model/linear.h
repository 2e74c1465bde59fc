// A linear map, or several that read the same input merged into one matrix, each with a low-rank update of
// its own if the configuration asks for it (Hu et al., "LoRA", 2021):
//   y = x W^T + s * (dropout(x) A^T) B^T,   s = alpha / r, or alpha / sqrt(r) (rsLoRA, Kalajdzievski 2023).
// Without dropout the update rides inside the large products (engine/ops/lora_linear.h); with it, or where
// the parts' scales differ, it is added. DoRA's magnitudes then scale the columns (engine/ops/dora.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/ops/dora.h"
#include "engine/ops/dropout.h"
#include "engine/ops/lora_linear.h"
#include "engine/tape.h"
#include "model/weights/peft.h"

namespace lethe {

// Behind a map's path: the squared norms of its base's rows, which DoRA needs.
inline constexpr const char* kBaseSquares = ".lora_base_squares";

// One map inside a merged matrix: its name ("q_proj") and its output width.
struct LinearPart {
  std::string name;
  int64_t out = 0;
};

class Linear {
 public:
  // Declares "<path>.<name>.weight" [sum of out, in], a row view "<path>.<part>.weight" for each of several
  // parts, and for targeted parts "<path>.<part>.lora_A.weight" [r, in] and ".lora_B.weight" [out, r]; for
  // DoRA
  // ".lora_magnitude_vector" [out] and, as an input that measure_base fills, ".lora_base_squares" [out].
  // Several A are views of one "<path>.<name>.lora_A.weight". Without LoRA the matrix is trained if
  // `trained`; with it, only the adapters are.
  // Throws ConfigError for DoRA with dropout, which has no such form.
  Linear(State& state, const std::string& path, const std::string& name, std::vector<LinearPart> parts,
         int64_t in, const Precision& precision, const std::optional<LoraConfig>& lora, bool trained);

  // x: [tokens, in], its rows input_pitch() apart. Returns [tokens, sum of out], its rows output_pitch()
  // apart or `pitch`, if that is more. Without `random` (evaluation) nothing is dropped.
  Var record(Tape& tape, Var x, const std::optional<ops::StepRandom>& random, int64_t pitch = 0) const;

  // Columns of part i in what record returned.
  Var part(Tape& tape, Var y, size_t i) const;

  int64_t input_pitch() const { return ops::pitch_with_room(in_, rank_inside_); }
  int64_t output_pitch() const { return ops::pitch_with_room(out_, rank_inside_); }

  // Adds what a program must copy before its first record.
  void append_copies(Tape& tape, ops::LoraCopies& copies) const;

 private:
  struct Adapter {
    int32_t a = -1, b = -1, magnitude = -1, squares = -1;  // State indices; -1: this part has none
    int64_t first_rank = 0;                                // its row among all parts' A
    LoraModule is;
  };

  void declare_weight(State& state, const std::string& path, const Precision& precision, bool trained);
  void declare_adapters(State& state, const std::string& path, const Precision& precision, bool trained);
  bool has_adapter(size_t part) const { return adapters_[part].is.rank > 0; }
  ops::LoraWeight lora_weight(Tape& tape) const;
  void add_adapters(Tape& tape, Var x, Var y, const std::optional<ops::StepRandom>& random) const;

  ops::DoraMap dora_map(Tape& tape, size_t part) const;
  Var scale_by_magnitudes(Tape& tape, Var z, int64_t pitch) const;

  std::string name_;
  std::vector<LinearPart> parts_;
  int64_t in_ = 0, out_ = 0;
  int64_t rank_ = 0;         // of all parts together
  int64_t rank_inside_ = 0;  // the same where the update rides inside the large products, else 0
  int32_t storage_ = -1, weight_ = -1, all_a_ = -1;
  std::vector<Adapter> adapters_;
  double scale_ = 0;  // of all parts, where the update rides inside
  double dropout_ = 0;
  bool dora_ = false;
};

}  // namespace lethe
