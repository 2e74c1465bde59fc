// Adapters folded into the weights they sit beside.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/session.h"
#include "model/weights/model_files.h"
#include "model/weights/peft.h"

namespace lethe {

// W <- W + scale * B A for every targeted map, computed in double and rounded once to W's dtype; with DoRA,
// W <- (m / ||W + scale B A||) (W + scale B A), row by row. A and B keep their values, so a program that
// still adds them counts them twice: save, or load into a model without adapters. Host memory: one map at a
// time.
void merge_adapters(Session& session, const LlamaConfig& config, const LoraConfig& lora);

// scale * B A: b [out, rank], a [rank, in], all row-major; summed over the rank in order.
std::vector<double> scaled_product(const std::vector<double>& b, const std::vector<double>& a, int64_t out,
                                   int64_t rank, int64_t in, double scale);

// Turns W + change into what DoRA makes of it, (m / ||W + change||) (W + change), and returns that less W:
// weight, change [out, in]; magnitude [out].
std::vector<double> with_magnitudes(const std::vector<double>& weight, std::vector<double> change,
                                    const std::vector<double>& magnitude);

// What became of one tensor's update when the sum was rounded to the type that is written.
struct MergedUpdate {
  std::string tensor;   // "model.layers.0.self_attn.q_proj.weight"
  double relative = 0;  // ||d|| / ||W||, d the exact update
  double survived = 0;  // <round(W + d) - W, d> / ||d||^2; 1: nothing was lost
  double changed = 0;   // share of the elements that round(W + d) changed
  int64_t elements = 0;
};

// A base's tensors with an adapter folded in, read and made some rows at a time while a file is written. Both
// must outlive it.
class MergedModel {
 public:
  MergedModel(const ModelFiles& base, const AdapterFiles& adapter, const LlamaConfig& config);

  // Every tensor of the model, in the type `type` (or its own, where absent): W + d in float32, rounded once.
  // Called back with each update when its tensor has been written. Throws RequestError, while writing, naming
  // a tensor whose sum is not finite.
  std::vector<TensorToWrite> tensors(std::optional<StoredType> type,
                                     const std::function<void(const MergedUpdate&)>& on_update) const;

 private:
  const ModelFiles& base_;
  const AdapterFiles& adapter_;
  LlamaConfig config_;
};

}  // namespace lethe
