// The programs of a run: what `lethe plan` prints and `lethe train` runs, recorded from one description.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/trainer.h"
#include "model/recompute.h"
#include "model/transformer.h"
#include "optim/optimizer.h"
#include "tools/run/examiner.h"

namespace lethe {

struct ProgramSpec {
  LlamaConfig config;
  std::optional<LoraConfig> lora;  // absent: full fine-tuning
  Precision precision;
  Recompute recompute = Recompute::none;
  int64_t recompute_layers = 0;  // see drop_for_recompute
  int64_t rows = 1;              // sequences per micro-batch
  int64_t tokens = 1;            // per sequence
  // The most documents that the rows of a micro-batch hold together, from `rows` (each row is one document)
  // to rows * tokens; 0: not known, which rules out attention by a library. Batches with more are refused
  // (require_documents).
  int64_t documents = 0;
  bool deterministic = false;  // the same bits from run to run on a GPU too, at some cost of speed
  bool accumulate = false;     // a step has more than one micro-batch
  bool gradients = false;      // forward and backward, even without an optimizer
  std::optional<OptimizerOptions> optimizer;  // absent: no update
  Distribution distribution;                  // of a step over several ranks
  std::shared_ptr<Examiner> examiner;         // absent: nothing but held-out losses is measured
  bool divergence = false;                    // measure the distance from the base (base_divergence.h)
};

// Two forward passes, between which the first one's logits stay.
struct DivergencePrograms {
  size_t keep = 0, compare = 0;
  Var divergences;  // of `compare`: [rows * tokens] in the compute dtype, 0 where a label is ignored
};

// Recorded, not yet planned. Programs share the State.
struct Programs {
  std::unique_ptr<State> state;
  std::vector<std::unique_ptr<Tape>> tapes;
  std::optional<Transformer> model;
  std::optional<StepPrograms> step;  // `update` only with an optimizer
  size_t evaluate = 0;               // forward alone: per-token losses, and the number of right guesses
  Var losses;  // of `evaluate`: [rows * tokens] in the compute dtype, 0 where a label is ignored
  Var logits;  // of `evaluate`: kept only if record_programs was asked to
  std::optional<DivergencePrograms> divergence;

  std::vector<const Tape*> views() const;
};

Programs record_programs(const ProgramSpec& spec, bool keep_logits = true);

}  // namespace lethe
